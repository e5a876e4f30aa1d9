// A pool of nodes on one thread in time of its own, for tests and figures: a network that delays
// and loses packets from a seed, can be parted, and nodes that stall, die and start anew.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/random.h"
#include "cluster/gossip/swim.h"

namespace pharos::gossip {

struct SimOptions {
  size_t nodes = 3;
  Profile profile = {};
  uint64_t seed = 1;
  double loss = 0;  // Of packets, one way.
  absl::Duration delay_min = absl::Microseconds(200), delay_max = absl::Milliseconds(2);
};

// What a node told the layer above.
struct SimEvent {
  enum class Kind { kJoin, kLeave } kind;
  absl::Time time;
  size_t observer;
  std::string about;
};

class SwimSim {
 public:
  explicit SwimSim(const SimOptions& options);
  ~SwimSim();

  // All nodes exchange state with the first one, or know one another from the start.
  void JoinAll();
  void Introduce();

  void RunFor(absl::Duration duration);
  // False if `done` was not true within the time.
  bool RunUntil(const std::function<bool()>& done, absl::Duration at_most);

  void Kill(size_t node);
  // Starts a killed node anew, with its first incarnation; joins through `by`.
  void Restart(size_t node, size_t by);
  // While stalled, a node does nothing; what is sent to it waits.
  void SetStalled(size_t node, bool stalled);
  void SetLoss(double loss) { options_.loss = loss; }
  // Whether packets and streams pass; every pair passes unless this says otherwise. In one
  // direction.
  std::function<bool(size_t from, size_t to)> passes;
  // The same of packets alone.
  std::function<bool(size_t from, size_t to)> packets_pass;

  Swim& swim(size_t node);
  bool running(size_t node) const;
  absl::Time now() const { return now_; }
  const std::vector<SimEvent>& events() const { return events_; }
  // What `observer` thinks of `about`; nullopt if it does not know it.
  std::optional<NodeStatus> Status(size_t observer, size_t about);
  // Whether every running node thinks the running ones alive, and no others.
  bool Converged();
  uint64_t packets() const { return packets_; }
  uint64_t octets() const { return octets_; }
  static std::string NameOf(size_t node);

 private:
  struct Node;
  struct Action {
    absl::Time time;
    uint64_t order;
    std::function<void()> run;
  };
  struct Later {
    bool operator()(const Action& a, const Action& b) const {
      return a.time != b.time ? a.time > b.time : a.order > b.order;
    }
  };

  void Start(size_t node);
  void At(absl::Time time, std::function<void()> run);
  void Flush(size_t node);
  void ScheduleTick(size_t node);
  void Deliver(size_t to, const std::function<void(Swim&)>& input);
  void Transmit(size_t from, const SendPacket& packet);
  void Connect(size_t from, const Dial& dial);
  absl::Duration Delay();

  SimOptions options_;
  Random random_;
  absl::Time now_ = absl::UnixEpoch();
  uint64_t next_order_ = 0;
  std::priority_queue<Action, std::vector<Action>, Later> actions_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<SimEvent> events_;
  uint64_t packets_ = 0, octets_ = 0;
};

}  // namespace pharos::gossip
