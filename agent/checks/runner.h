// Runs an agent's health checks: each in its interval, thousands on one thread, and tells the owner
// how each run went.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "agent/checks/check_type.h"
#include "agent/checks/children.h"
#include "agent/checks/curl_multi.h"
#include "agent/checks/options.h"
#include "agent/checks/probe.h"
#include "agent/checks/tls.h"
#include "agent/config/definition.h"
#include "base/clock.h"
#include "base/loop.h"
#include "base/random.h"
#include "registry/types.h"

namespace pharos::agent {

// What a check says now. `output` is UTF-8.
struct CheckReport {
  std::string id;
  registry::Health status = registry::Health::kCritical;
  std::string output;
};

// What an alias check says: the state of what it stands for.
struct AliasResult {
  registry::Health status = registry::Health::kPassing;
  std::string output = "No checks found.";
};

struct RunnerCounts {
  // [CheckType][registry::Health]: checks by what was last reported, or set as `initial`.
  std::array<std::array<size_t, 3>, kCheckTypes> checks{};
  uint64_t runs = 0;      // Begun, since the start.
  uint64_t timeouts = 0;  // Of them, those that took too long.
  size_t running = 0;     // Now.
  size_t waiting = 0;     // Due, behind network_runs_max or process_runs_max.
  size_t children = 0;    // Processes, those killed and not yet gone among them.
};

// All calls, and the calls of `report` and `alias_state`, are on the loop's thread. `report` may
// call the runner, but not destroy it. The process ignores SIGPIPE.
class CheckRunner {
 public:
  using Report = std::function<void(CheckReport)>;
  using AliasState = std::function<AliasResult(const CheckDefinition&)>;

  // `report` is called after each completed run, each UpdateTtl and each TTL that passed, with the
  // status after the definition's thresholds (thresholds.h): while they hold a result back, with
  // the status and output of before. For an alias check it is called when what `alias_state` says
  // has changed. `loop` and `clock` are borrowed, and outlive the runner.
  CheckRunner(Loop& loop, const Clock& clock, RunnerOptions options, Report report,
              AliasState alias_state = nullptr);
  // Ends every run; no child is left. The handles close in the loop's next turn, so the loop can
  // stop when this was posted to it before.
  ~CheckRunner();
  CheckRunner(const CheckRunner&) = delete;
  CheckRunner& operator=(const CheckRunner&) = delete;

  // Starts a check with the status `initial`, in place of one with its id; one with an identical
  // definition goes on undisturbed. The first run is within one interval. A TTL check waits until
  // `ttl_deadline`, kept from an earlier run of the agent, or its TTL from now if that has passed.
  // InvalidArgument, in Consul's words: a check of no kind, a timed one without an interval.
  absl::Status Set(const CheckDefinition& definition, registry::Health initial,
                   absl::Time ttl_deadline = absl::InfinitePast());
  // Ends the check, its run too; nothing if there is none.
  void Remove(std::string_view id);

  // Takes what a TTL check was told, and begins its TTL anew. Output beyond the check's bound is
  // cut, which it says. NotFound: no check has this id; FailedPrecondition: it is no TTL check.
  absl::Status UpdateTtl(std::string_view id, registry::Health status, std::string output);
  // When the TTL of a TTL check passes (or passed, if it has); nullopt for every other id.
  std::optional<absl::Time> TtlDeadline(std::string_view id) const;

  // Some check that alias checks may stand for has changed: they are looked at in the loop's next
  // turn.
  void AliasesChanged();

  RunnerCounts Counts() const;

 private:
  struct Check;
  // Runs of one sort at the same time, and what waits for its turn, first come first.
  struct Pool {
    size_t runs_max = 0;
    size_t running = 0;
    std::list<Check*> waiting;
  };

  void Schedule(Check& check, absl::Time ttl_deadline);
  void WaitForTurn(Check& check);
  void StartWaiting(Pool& pool);
  void Begin(Check& check);
  std::unique_ptr<Probe> MakeProbe(const Check& check) const;
  void TakeResult(Check& check, ProbeResult result);
  void TakeTimeout(Check& check);
  void Complete(Check& check, ProbeResult result);
  void EndRun(Check& check);
  void ExpireTtl(Check& check);
  void ReadAliases();
  void Tell(Check& check, registry::Health status, std::string output);

  Loop& loop_;
  const Clock& clock_;
  const RunnerOptions options_;
  const Report report_;
  const AliasState alias_state_;
  Random random_;
  CurlMulti curl_;
  TlsClient tls_;
  Children children_;
  ProbeContext context_;
  LoopTimer aliases_timer_;
  Pool network_, processes_;
  bool starting_ = false;  // In StartWaiting.
  uint64_t runs_ = 0;
  uint64_t timeouts_ = 0;
  absl::flat_hash_map<std::string, std::unique_ptr<Check>> checks_;
};

}  // namespace pharos::agent
