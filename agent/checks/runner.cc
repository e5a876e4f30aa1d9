#include "agent/checks/runner.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "agent/checks/output.h"
#include "agent/checks/thresholds.h"
#include "base/check.h"
#include "base/go_duration.h"
#include "base/log.h"

namespace pharos::agent {

using registry::Health;

namespace {

constexpr absl::Duration kTimeoutDefault = absl::Seconds(10);
constexpr absl::Duration kCommandTimeoutDefault = absl::Seconds(30);

bool IsTimed(CheckType type) { return type != CheckType::kTtl && type != CheckType::kAlias; }

// Of types that run a command, here or in a container.
bool RunsCommand(CheckType type) {
  return type == CheckType::kScript || type == CheckType::kDocker || type == CheckType::kOsService;
}

absl::Duration TimeoutOf(const CheckDefinition& definition, CheckType type) {
  if (definition.timeout > absl::ZeroDuration()) return definition.timeout;
  return RunsCommand(type) ? kCommandTimeoutDefault : kTimeoutDefault;
}

// What a TTL check was told, as Consul cuts it.
std::string CutTtlOutput(std::string output, size_t octets_max) {
  if (output.size() <= octets_max) return output;
  const size_t total = output.size();
  output.resize(octets_max);
  absl::StrAppendFormat(&output, " ... (captured %d of %d bytes)", octets_max, total);
  return output;
}

}  // namespace

struct CheckRunner::Check {
  Check(const CheckDefinition& from, CheckType its_type, uv_loop_t* loop)
      : definition(from), type(its_type), thresholds(from), timer(loop) {}

  const CheckDefinition definition;
  const CheckType type;
  absl::Duration interval, timeout;
  size_t output_octets_max = 0;
  Thresholds thresholds;
  Health status = Health::kCritical;
  std::string output;  // As last reported.
  bool reported = false;
  absl::Time ttl_deadline = absl::InfinitePast();

  // The next run, or the end of this one by timeout; for a TTL check its deadline.
  LoopTimer timer;
  std::unique_ptr<Probe> probe;                        // While it runs.
  Pool* pool = nullptr;                                // Of a timed check.
  std::optional<std::list<Check*>::iterator> waiting;  // Its place in the pool's queue.
};

CheckRunner::CheckRunner(Loop& loop, const Clock& clock, RunnerOptions options, Report report,
                         AliasState alias_state)
    : loop_(loop),
      clock_(clock),
      options_(std::move(options)),
      report_(std::move(report)),
      alias_state_(std::move(alias_state)),
      random_(options_.seed),
      curl_(loop.uv()),
      tls_(TlsFilesOf(options_)),
      children_(loop.uv()),
      context_{loop_, curl_, tls_, children_, options_},
      aliases_timer_(loop.uv()) {
  network_.runs_max = options_.network_runs_max;
  processes_.runs_max = options_.process_runs_max;
}

CheckRunner::~CheckRunner() = default;

absl::Status CheckRunner::Set(const CheckDefinition& definition, Health initial,
                              absl::Time ttl_deadline) {
  const std::optional<CheckType> type = TypeOf(definition);
  if (!type) return absl::InvalidArgumentError("Invalid check: TTL must be > 0 for TTL checks");
  if (IsTimed(*type) && definition.interval <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError(
        "Invalid check: Interval must be > 0 for Script, HTTP, or TCP checks");
  }
  const auto found = checks_.find(definition.id);
  if (found != checks_.end() && found->second->definition == definition) return absl::OkStatus();
  Remove(definition.id);
  auto check = std::make_unique<Check>(definition, *type, loop_.uv());
  check->status = initial;
  check->output_octets_max = definition.output_octets_max > 0
                                 ? static_cast<size_t>(definition.output_octets_max)
                                 : options_.output_octets_max;
  Schedule(*check, ttl_deadline);
  checks_[definition.id] = std::move(check);
  return absl::OkStatus();
}

// Sets when the check is first due.
void CheckRunner::Schedule(Check& check, absl::Time ttl_deadline) {
  if (check.type == CheckType::kAlias) {
    AliasesChanged();
    return;
  }
  if (check.type == CheckType::kTtl) {
    const absl::Time now = clock_.Now();
    check.ttl_deadline = ttl_deadline > now ? ttl_deadline : now + check.definition.ttl;
    check.timer.Once(check.ttl_deadline - now, [this, &check] { ExpireTtl(check); });
    return;
  }
  check.timeout = TimeoutOf(check.definition, check.type);
  check.interval = std::max(check.definition.interval, options_.interval_min);
  if (check.interval != check.definition.interval) {
    PHAROS_LOG(kWarn, "agent.checks",
               "check has interval below minimum: check=%s minimum_interval=%s",
               check.definition.id, FormatGoDuration(options_.interval_min));
  }
  const bool is_process = check.type == CheckType::kScript || check.type == CheckType::kOsService;
  check.pool = is_process ? &processes_ : &network_;
  const double part = static_cast<double>(random_.Below(1'000'000)) / 1'000'000;
  check.timer.Once(part * check.interval, [this, &check] { WaitForTurn(check); });
}

void CheckRunner::Remove(std::string_view id) {
  const auto found = checks_.find(std::string(id));
  if (found == checks_.end()) return;
  const std::unique_ptr<Check> check = std::move(found->second);
  checks_.erase(found);
  if (check->waiting) check->pool->waiting.erase(*check->waiting);
  if (check->probe == nullptr) return;
  EndRun(*check);
  StartWaiting(*check->pool);
}

void CheckRunner::WaitForTurn(Check& check) {
  Pool& pool = *check.pool;
  check.waiting = pool.waiting.insert(pool.waiting.end(), &check);
  StartWaiting(pool);
}

void CheckRunner::StartWaiting(Pool& pool) {
  if (starting_) return;  // Called by `report`, from below: the loop there goes on.
  starting_ = true;
  while (pool.running < pool.runs_max && !pool.waiting.empty()) {
    Check& next = *pool.waiting.front();
    pool.waiting.pop_front();
    next.waiting.reset();
    Begin(next);
  }
  starting_ = false;
}

void CheckRunner::Begin(Check& check) {
  ++runs_;
  ++check.pool->running;
  check.probe = MakeProbe(check);
  check.timer.Once(check.timeout, [this, &check] { TakeTimeout(check); });
  std::optional<ProbeResult> result =
      check.probe->Start([this, &check](ProbeResult done) { TakeResult(check, std::move(done)); });
  if (result) Complete(check, *std::move(result));
}

std::unique_ptr<Probe> CheckRunner::MakeProbe(const Check& check) const {
  const CheckDefinition& definition = check.definition;
  const size_t octets_max = check.output_octets_max;
  switch (check.type) {
    case CheckType::kHttp:
      return MakeHttpProbe(context_, definition, octets_max);
    case CheckType::kTcp:
      return MakeTcpProbe(context_, definition);
    case CheckType::kUdp:
      return MakeUdpProbe(context_, definition);
    case CheckType::kGrpc:
      return MakeGrpcProbe(context_, definition, check.timeout);
    case CheckType::kH2Ping:
      return MakeH2PingProbe(context_, definition);
    case CheckType::kDocker:
      return MakeDockerProbe(context_, definition, octets_max);
    case CheckType::kScript:
      return MakeScriptProbe(context_, definition, octets_max);
    case CheckType::kOsService:
      return MakeOsServiceProbe(context_, definition, octets_max);
    case CheckType::kTtl:
    case CheckType::kAlias:
      break;
  }
  CHECK(false);
}

void CheckRunner::TakeResult(Check& check, ProbeResult result) {
  Pool& pool = *check.pool;
  Complete(check, std::move(result));
  StartWaiting(pool);
}

void CheckRunner::TakeTimeout(Check& check) {
  ++timeouts_;
  TakeResult(check, check.probe->TimedOut(check.timeout));
}

// `report` may remove the check: nothing may follow.
void CheckRunner::Complete(Check& check, ProbeResult result) {
  EndRun(check);
  check.timer.Once(check.interval, [this, &check] { WaitForTurn(check); });
  const std::optional<Health> moved = check.thresholds.Take(result.status);
  if (moved) {
    Tell(check, *moved, std::move(result.output));
  } else {
    Tell(check, check.status, check.output);
  }
}

void CheckRunner::EndRun(Check& check) {
  check.probe.reset();
  --check.pool->running;
}

void CheckRunner::Tell(Check& check, Health status, std::string output) {
  if (options_.discard_output) output.clear();
  check.status = status;
  check.output = ToUtf8(output);
  check.reported = true;
  report_({.id = check.definition.id, .status = status, .output = check.output});
}

absl::Status CheckRunner::UpdateTtl(std::string_view id, Health status, std::string output) {
  const auto found = checks_.find(std::string(id));
  if (found == checks_.end()) {
    return absl::NotFoundError(absl::StrFormat(
        "Unknown check ID \"%s\". Ensure that the check ID is passed, not the check name.", id));
  }
  Check& check = *found->second;
  if (check.type != CheckType::kTtl) {
    return absl::FailedPreconditionError(
        absl::StrFormat("CheckID \"%s\" does not have associated TTL", id));
  }
  check.ttl_deadline = clock_.Now() + check.definition.ttl;
  check.timer.Once(check.definition.ttl, [this, &check] { ExpireTtl(check); });
  Tell(check, status, CutTtlOutput(std::move(output), check.output_octets_max));
  return absl::OkStatus();
}

void CheckRunner::ExpireTtl(Check& check) {
  Tell(check, Health::kCritical,
       check.output.empty()
           ? "TTL expired"
           : absl::StrFormat("TTL expired (last output before timeout follows): %s", check.output));
}

std::optional<absl::Time> CheckRunner::TtlDeadline(std::string_view id) const {
  const auto found = checks_.find(std::string(id));
  if (found == checks_.end() || found->second->type != CheckType::kTtl) return std::nullopt;
  return found->second->ttl_deadline;
}

void CheckRunner::AliasesChanged() {
  aliases_timer_.Once(absl::ZeroDuration(), [this] { ReadAliases(); });
}

void CheckRunner::ReadAliases() {
  if (alias_state_ == nullptr) return;
  // Ids, as `report` may add and remove checks.
  std::vector<std::string> ids;
  for (const auto& [id, check] : checks_) {
    if (check->type == CheckType::kAlias) ids.push_back(id);
  }
  for (const std::string& id : ids) {
    const auto found = checks_.find(id);
    if (found == checks_.end() || found->second->type != CheckType::kAlias) continue;
    Check& check = *found->second;
    AliasResult now = alias_state_(check.definition);
    // Aliases of each other would quote each other without end.
    now.output.resize(std::min(now.output.size(), check.output_octets_max));
    const std::string output = options_.discard_output ? "" : ToUtf8(now.output);
    if (check.reported && check.status == now.status && check.output == output) continue;
    Tell(check, now.status, output);
  }
}

RunnerCounts CheckRunner::Counts() const {
  RunnerCounts counts;
  for (const auto& [id, check] : checks_) {
    ++counts.checks[static_cast<size_t>(check->type)][static_cast<size_t>(check->status)];
  }
  counts.runs = runs_;
  counts.timeouts = timeouts_;
  counts.running = network_.running + processes_.running;
  counts.waiting = network_.waiting.size() + processes_.waiting.size();
  counts.children = children_.count();
  return counts;
}

}  // namespace pharos::agent
