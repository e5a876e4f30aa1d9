// The agent's own side of the catalog: what is registered at it, the checks that are run for that,
// and the catalog kept in step with both. Owns the thread `checks`.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "agent/checks/runner.h"
#include "agent/config/config.h"
#include "agent/local/state.h"
#include "agent/local/store.h"
#include "base/clock.h"
#include "base/loop.h"
#include "base/loop_mailbox.h"
#include "base/random.h"
#include "cluster/catalog_access.h"
#include "proto/catalog.pb.h"

namespace pharos::agent {

class Leases;

class LocalAgent {
 public:
  // Called on the thread `checks`, once the catalog has the change or, when it cannot be reached,
  // once that is known: what was registered stays, and is synced as soon as it can be.
  using Done = std::function<void(absl::Status)>;

  // Starts the thread, registers the node, what its configuration has and what was kept, and waits
  // until the catalog has it. `consensus` and `clock` outlive this.
  static absl::StatusOr<std::unique_ptr<LocalAgent>> Start(const Config& config,
                                                           const std::string& node_id,
                                                           cluster::CatalogAccess& consensus,
                                                           const Clock& clock);
  // Ends every check and the thread. What is registered stays in the catalog.
  ~LocalAgent();

  // From other threads: takes on the services, checks and metadata of a new configuration, and
  // waits until the catalog has them. (With -dev, what was registered by request is dropped.)
  absl::Status Reload(const Config& config);

  // From any thread: the catalog is compared with what is registered here as soon as can be, as it
  // may have missed something.
  void SyncSoon();

  // From another thread: calls `tick` every `interval` on the thread `checks`, at once for the
  // first time, until this ends.
  void SetTick(absl::Duration interval, std::function<void()> tick);

  // Work for the thread `checks`, where everything below is called.
  Loop& loop() { return *loop_; }

  const LocalState& state() const { return state_; }
  const std::string& node_name() const { return node_.node().name(); }
  const catalog::v1::Node& node() const { return node_.node(); }
  RunnerCounts check_counts() const { return runner_->Counts(); }
  uint64_t sync_failures() const { return sync_failures_; }
  // When the catalog was last seen to be in step; InfinitePast if never.
  absl::Time last_sync() const { return last_sync_; }

  // `body` is what was requested, to be kept. Replaces what has the id. Checks of the service that
  // are not named any more stay, unless `replace_checks`.
  void RegisterService(ServiceDefinition definition, std::string_view body, bool replace_checks,
                       Done done);
  // NotFound for an unknown id.
  void DeregisterService(const std::string& id, Done done);
  // NotFound (`ServiceID "x" does not exist`) for a check of an unknown service.
  void RegisterCheck(const CheckDefinition& definition, std::string_view body, Done done);
  void DeregisterCheck(const std::string& id, Done done);
  // NotFound and FailedPrecondition as CheckRunner::UpdateTtl.
  void UpdateTtl(const std::string& id, registry::Health status, std::string output, Done done);
  // Of a service, or with an empty id of the node. NotFound for an unknown service.
  void SetMaintenance(const std::string& service_id, bool enable, const std::string& reason,
                      Done done);

  // Calls `done` with the catalog's index once it has all that was registered here so far: at once,
  // unless it could not be reached meanwhile.
  using Indexed = std::function<void(const absl::StatusOr<uint64_t>&)>;
  void WhenInStep(Indexed done);

  // An instance that a lease holds (agent/local/leases.h), and how it does.
  struct Held {
    ServiceDefinition service;  // Without checks.
    registry::Health health = registry::Health::kPassing;
    std::string output;
  };
  // Sets and removes such instances, all at once or (InvalidArgument) not at all.
  void ChangeHeld(std::vector<Held> set, const std::vector<std::string>& removed, Indexed done);
  Leases& leases() { return *leases_; }
  const Leases& leases() const { return *leases_; }

  // Calls `tell` once, when the service of that id has changed, come or gone, or after `wait`.
  using ServiceWait = std::function<void()>;
  void WaitForService(const std::string& id, absl::Duration wait, ServiceWait tell);

 private:
  struct Waiting {
    std::string id;
    ServiceWait tell;
    std::unique_ptr<LoopTimer> timer;
  };

  LocalAgent(const Config& config, const std::string& node_id, cluster::CatalogAccess& consensus,
             const Clock& clock);

  // On the thread.
  void Open();
  void Close();
  void TakeDefinitions(const Config& config);
  void LoadKept();
  void AddService(ServiceDefinition definition, Source source);
  void AddCheck(const CheckDefinition& definition, Source source);
  void AddMaintenance(const std::string& service_id, const std::string& reason);
  void RemoveCheck(const std::string& id);
  void RemoveService(const std::string& id);
  // Something else takes the place of what a lease holds, or takes it away.
  void TakeFromLease(const std::string& id);
  void FoundInStep();
  void OnReport(CheckReport report);
  AliasResult ReadAlias(const CheckDefinition& definition) const;
  void DeregisterLongCritical();
  void TellWaiting(const std::string& service_id);

  // Proposes; a failure is said in the log, and a full sync follows.
  void Push(catalog::v1::Command command, Done done);
  void PushCheck(const LocalCheck& check, Done done);
  void PushOutputs();
  // Compares the catalog with what is wanted and corrects it.
  void Sync(Done done);
  // The same, with what the catalog has of this node at hand.
  void Compare(Done done);
  void AdoptTags(const registry::NodeEntry& entry);
  void ScheduleSync(absl::Duration delay);

  cluster::CatalogAccess& consensus_;
  const Clock& clock_;
  const bool keeps_nothing_;  // -dev
  const bool remote_scripts_;
  bool discard_output_ = false;
  absl::Duration output_delay_;  // For which a change of what a check says waits for further ones.
  const std::string node_id_;
  catalog::v1::Register node_;
  RunnerOptions runner_options_;
  Store store_;
  Random random_;
  LocalState state_;
  std::set<std::string> changed_outputs_;  // Ids of checks whose output alone has changed.
  absl::Time last_sync_ = absl::InfinitePast();
  uint64_t sync_failures_ = 0;
  absl::Duration sync_backoff_;
  // Changes proposed, and those of them that were answered; who waits for one to be.
  uint64_t pushed_ = 0;
  uint64_t acknowledged_ = 0;
  std::deque<std::pair<uint64_t, Done>> waiting_for_push_;
  // A change was lost on its way to the catalog, and no sync has made up for it yet.
  bool out_of_step_ = false;
  std::vector<Indexed> waiting_for_step_;
  uint64_t last_wait_ = 0;
  std::map<uint64_t, Waiting> service_waits_;
  std::atomic<int> alias_checks_ = 0;  // Read by the raft thread, for which nothing depends on it.
  int subscription_ = -1;
  std::unique_ptr<Loop> loop_;
  std::shared_ptr<LoopMailbox> mailbox_;
  std::unique_ptr<CheckRunner> runner_;
  std::unique_ptr<Leases> leases_;
  std::unique_ptr<LoopTimer> sync_timer_, output_timer_, reap_timer_, tick_timer_;
};

}  // namespace pharos::agent
