// The pool's members as nodes of the catalog: who is alive has a passing check `serfHealth`, who
// failed a critical one, and who left is removed with all that is registered on it. Done by the
// leader alone. Start reading at Plan.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/loop.h"
#include "base/loop_mailbox.h"
#include "cluster/catalog_access.h"
#include "cluster/gossip/serf.h"
#include "registry/snapshot.h"

namespace pharos::cluster {

inline constexpr const char* kSerfHealth = "serfHealth";

struct GossipCatalogOptions {
  std::string node_name;  // Our own node, which registers itself.
  std::string datacenter;
  // A node that failed so often within the window is flapping: what it does next counts only once
  // it has lasted for `hold`.
  int flaps_max = 3;
  absl::Duration flap_window = absl::Minutes(10);
  absl::Duration hold = absl::Seconds(30);
  // A node of the catalog that is no member may yet join after our own start.
  absl::Duration unknown_kept = absl::Minutes(3);
};

struct GossipCatalogCounters {
  uint64_t registered = 0, failed = 0, removed = 0, held_back = 0;
};

// What is to be changed for the members to be in the catalog as they are. Pure; one thread.
class GossipCatalogPlanner {
 public:
  // The most nodes whose flaps are remembered.
  static constexpr size_t kHistoriesMax = 100'000;

  GossipCatalogPlanner(GossipCatalogOptions options, absl::Time start)
      : options_(std::move(options)), start_(start) {}

  // That a member failed or was reaped, as it happens.
  void OnEvent(const gossip::MemberEvent& event, absl::Time now);
  // The commands that bring the catalog in step with the members.
  std::vector<catalog::v1::Command> Plan(const std::vector<gossip::Member>& members,
                                         const registry::Snapshot& snapshot, absl::Time now);
  // When something that is held back is due; InfiniteFuture if nothing is.
  absl::Time next_due() const { return next_due_; }
  bool IsFlapping(const std::string& node, absl::Time now) const;
  const GossipCatalogCounters& counters() const { return counters_; }

 private:
  struct History {
    std::deque<absl::Time> failures;
    absl::Time changed;  // When its status changed last.
    gossip::MemberStatus status = gossip::MemberStatus::kNone;
  };

  GossipCatalogOptions options_;
  absl::Time start_;
  std::map<std::string, History> histories_;
  std::vector<std::string> reaped_;
  absl::Time next_due_ = absl::InfiniteFuture();
  GossipCatalogCounters counters_;
};

// The planner at work, on a thread of its own choosing.
class GossipCatalog {
 public:
  // `read_members` gives the members from any thread, by calling back on any thread. `is_leader` is
  // asked on the loop's thread before each change. All outlive this.
  struct Sources {
    std::function<void(std::function<void(std::vector<gossip::Member>)>)> read_members;
    std::function<bool()> is_leader = [] { return true; };
  };
  GossipCatalog(Loop& loop, CatalogAccess& consensus, Sources sources,
                GossipCatalogOptions options);
  // Not from the loop's thread.
  ~GossipCatalog();

  // From any thread: an event of the pool.
  void OnEvent(const gossip::MemberEvent& event);

 private:
  static constexpr absl::Duration kInterval = absl::Minutes(1);

  void Reconcile();
  void Apply(const std::vector<gossip::Member>& members);

  Loop& loop_;
  CatalogAccess& consensus_;
  Sources sources_;
  std::shared_ptr<LoopMailbox> mailbox_;
  GossipCatalogPlanner planner_;
  std::unique_ptr<LoopTimer> timer_, soon_;
  bool reading_ = false;  // Members are being read; once more after that if `again_`.
  bool again_ = false;
};

}  // namespace pharos::cluster
