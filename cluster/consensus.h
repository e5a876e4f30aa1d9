// The one way to change the catalog: propose a command, and hear when it is committed and visible.
// A server on its own commits what is proposed in the order it arrives.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/loop.h"
#include "cluster/state_machine.h"
#include "proto/catalog.pb.h"

namespace pharos::cluster {

// Counted since the start; any thread may read them.
struct ConsensusCounters {
  std::atomic<uint64_t> proposals{0}, refused{0}, publications{0};
  // From a proposal until it is visible: of all, and of those that register or deregister.
  DurationHistogram commit, registration, deregistration;
};

class Consensus {
 public:
  // Proposals that wait at one time; one more is refused with ResourceExhausted.
  static constexpr size_t kProposalsMax = 4096;

  // Called once, on the raft thread: the index at which the command is visible to every reader, or
  // why it was not applied.
  using Done = std::function<void(absl::StatusOr<uint64_t>)>;

  // Starts the thread `raft`. `clock` is borrowed.
  Consensus(std::string datacenter, const Clock& clock);
  // Proposals that were not applied yet are answered with Unavailable.
  ~Consensus();

  // From any thread. The command's time is set here. Validated before it is queued: InvalidArgument
  // in words for the author of the command.
  void Propose(catalog::v1::Command command, Done done);
  // Waits for the outcome; not from the raft thread.
  absl::StatusOr<uint64_t> ProposeAndWait(catalog::v1::Command command);

  // Calls `observer` on the raft thread after each publication that changed something, before those
  // who proposed the changes are answered. From any thread; ends with Unsubscribe, after which no
  // call runs or will.
  using Observer = std::function<void(const registry::Changes&)>;
  int Subscribe(Observer observer);
  void Unsubscribe(int subscription);

  const ConsensusCounters& counters() const { return counters_; }
  const Published<registry::Snapshot>& published() const { return state_machine_->published(); }

 private:
  struct Proposal {
    catalog::v1::Command command;
    Done done;
    uint64_t proposed_ns;
  };

  // Applies all that is queued, publishes once, then answers: a change is visible never later than
  // it is acknowledged.
  void Commit();
  void CountCommit(const Proposal& proposal, uint64_t now_ns);

  const Clock& clock_;
  std::unique_ptr<StateMachine> state_machine_;
  ConsensusCounters counters_;
  std::mutex mutex_;
  std::vector<Proposal> queue_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<int, Observer> observers_;  // Of the raft thread.
  int next_subscription_ = 0;          // Of the raft thread.
  std::unique_ptr<Loop> loop_;
};

}  // namespace pharos::cluster
