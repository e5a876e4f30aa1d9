#include "cluster/consensus.h"

#include <uv.h>

#include <latch>
#include <utility>

#include "registry/command.h"

namespace pharos::cluster {

Consensus::Consensus(std::string datacenter, const Clock& clock)
    : clock_(clock),
      state_machine_(std::make_unique<StateMachine>(std::move(datacenter))),
      loop_(std::make_unique<Loop>("raft")) {}

Consensus::~Consensus() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  loop_->Stop();  // Runs what was posted, so every queued proposal is still answered.
}

void Consensus::Propose(catalog::v1::Command command, Done done) {
  command.set_time_unix_ms(absl::ToUnixMillis(clock_.Now()));
  if (absl::Status valid = registry::ValidateCommand(command); !valid.ok()) {
    loop_->Post([done = std::move(done), valid] { done(valid); });
    return;
  }
  absl::Status refused;
  {
    const std::lock_guard lock(mutex_);
    if (stopped_) {
      refused = absl::UnavailableError("the agent is stopping; nothing was changed");
    } else if (queue_.size() >= kProposalsMax) {
      ++counters_.refused;
      refused = absl::ResourceExhaustedError(
          "too many changes are waiting; nothing was changed, try again");
    } else {
      // Whoever finds the queue empty wakes the thread; those who come before it runs join in.
      ++counters_.proposals;
      const bool wake = queue_.empty();
      queue_.push_back({std::move(command), std::move(done), uv_hrtime()});
      if (wake) loop_->Post([this] { Commit(); });
      return;
    }
  }
  done(refused);
}

absl::StatusOr<uint64_t> Consensus::ProposeAndWait(catalog::v1::Command command) {
  std::latch finished(1);
  absl::StatusOr<uint64_t> result;
  Propose(std::move(command), [&](absl::StatusOr<uint64_t> outcome) {
    result = std::move(outcome);
    finished.count_down();
  });
  finished.wait();
  return result;
}

int Consensus::Subscribe(Observer observer) {
  int subscription = 0;
  loop_->PostAndWait([&] {
    subscription = next_subscription_++;
    observers_.emplace(subscription, std::move(observer));
  });
  return subscription;
}

void Consensus::Unsubscribe(int subscription) {
  loop_->PostAndWait([&] { observers_.erase(subscription); });
}

void Consensus::Commit() {
  std::vector<Proposal> batch;
  {
    const std::lock_guard lock(mutex_);
    batch.swap(queue_);
  }
  std::vector<absl::StatusOr<uint64_t>> outcomes;
  outcomes.reserve(batch.size());
  for (const Proposal& proposal : batch) {
    const absl::Status applied = state_machine_->Apply(proposal.command);
    if (applied.ok()) {
      outcomes.emplace_back(state_machine_->last_index());
    } else {
      outcomes.emplace_back(applied);
    }
  }
  const registry::Changes& changes = state_machine_->Publish();
  ++counters_.publications;
  const bool changed = changes.nodes || changes.services || changes.checks || changes.queries ||
                       changes.ingress || !changes.service_names.empty();
  if (changed) {
    for (const auto& [subscription, observer] : observers_) observer(changes);
  }
  const uint64_t now_ns = uv_hrtime();
  for (size_t i = 0; i < batch.size(); ++i) {
    if (outcomes[i].ok()) CountCommit(batch[i], now_ns);
    batch[i].done(std::move(outcomes[i]));
  }
}

void Consensus::CountCommit(const Proposal& proposal, uint64_t now_ns) {
  const uint64_t took_ns = now_ns - proposal.proposed_ns;
  counters_.commit.Add(took_ns);
  // A batch is made by an agent about its own registrations; what it begins with says which way.
  const catalog::v1::Command& command = proposal.command.batch().commands_size() > 0
                                            ? proposal.command.batch().commands(0)
                                            : proposal.command;
  if (command.has_register_()) counters_.registration.Add(took_ns);
  if (command.has_deregister()) counters_.deregistration.Add(took_ns);
}

}  // namespace pharos::cluster
