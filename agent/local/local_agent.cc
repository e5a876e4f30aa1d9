#include "agent/local/local_agent.h"

#include <algorithm>
#include <cstdlib>
#include <latch>
#include <optional>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_format.h"
#include "agent/local/body.h"
#include "agent/local/leases.h"
#include "agent/registration.h"
#include "base/ip_address.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "http/shapes.h"
#include "registry/records.h"
#include "registry/remote_catalogs.h"

namespace pharos::agent {
namespace {

// In full, however nothing seems to have changed: what others did to our entries is undone.
constexpr absl::Duration kSyncInterval = absl::Minutes(1);
constexpr absl::Duration kRetryMin = absl::Seconds(1);
constexpr absl::Duration kRetryMax = absl::Minutes(1);
constexpr absl::Duration kReapInterval = absl::Seconds(30);
constexpr absl::Duration kDeregisterAfterMin = absl::Minutes(1);

// The addresses of a service as each family's tagged ones, unless they were given.
void FillTaggedAddresses(ServiceDefinition& service) {
  const std::optional<IpAddress> ip = IpAddress::Parse(service.address);
  if (!ip) return;
  for (const char* side : {"lan", "wan"}) {
    const std::string tag = absl::StrFormat("%s_%s", side, ip->is_v4() ? "ipv4" : "ipv6");
    auto& tagged = service.tagged_addresses;
    const bool given = std::any_of(tagged.begin(), tagged.end(),
                                   [&tag](const auto& address) { return address.tag == tag; });
    if (!given) tagged.push_back({.tag = tag, .address = service.address, .port = service.port});
  }
}

// The first command of a node: that it is there and alive, before anything is known of it.
catalog::v1::Command Announce(const catalog::v1::Register& node) {
  catalog::v1::Command command;
  catalog::v1::Register& change = *command.mutable_register_();
  change = node;
  change.mutable_node()->clear_tagged_addresses();
  change.mutable_node()->clear_meta();
  return command;
}

bool IsKnown(cluster::CatalogAccess& consensus, const std::string& node) {
  const Published<registry::Snapshot>::ReadGuard snapshot(consensus.published());
  return snapshot->FindNode(registry::LowerCase(node)) != nullptr;
}

catalog::v1::Command DeregisterOf(const std::string& node, const std::string& service_id,
                                  const std::string& check_id) {
  catalog::v1::Command command;
  catalog::v1::Deregister& change = *command.mutable_deregister();
  change.set_node(node);
  change.set_service_id(service_id);
  change.set_check_id(check_id);
  return command;
}

RunnerOptions MakeRunnerOptions(const Config& config) {
  RunnerOptions options;
  options.output_octets_max = static_cast<size_t>(config.checks_config.output_octets_max);
  if (config.checks_config.agent_tls) {
    options.ca_file = config.tls.ca_file;
    options.ca_path = config.tls.ca_path;
    options.cert_file = config.tls.cert_file;
    options.key_file = config.tls.key_file;
  }
  options.seed = SecureRandomU64();
  // As Docker's own programs are told where the daemon is.
  constexpr std::string_view kUnix = "unix://";
  const char* const docker_host = std::getenv("DOCKER_HOST");
  if (docker_host != nullptr && std::string_view(docker_host).starts_with(kUnix)) {
    options.docker_socket = docker_host + kUnix.size();
  }
  return options;
}

void LogSynced(const catalog::v1::Command& command) {
  for (const catalog::v1::Command& single : command.batch().commands()) {
    for (const catalog::v1::Service& service : single.register_().services()) {
      PHAROS_LOG(kInfo, "agent", "Synced service: service=%s", service.id());
    }
    if (!single.deregister().service_id().empty()) {
      PHAROS_LOG(kInfo, "agent", "Deregistered service: service=%s",
                 single.deregister().service_id());
    }
  }
}

void LogLost(const char* what, const std::string& id, const absl::Status& status) {
  if (status.ok()) return;
  PHAROS_LOG(kError, "agent", "%s \"%s\" is registered but not kept on disk: %s", what, id,
             std::string(status.message()));
}

}  // namespace

namespace {

// What could not be told for want of a leader is told when there is one.
absl::Status IgnoreNoLeader(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsUnknown(status) ? absl::OkStatus() : status;
}

}  // namespace

absl::StatusOr<std::unique_ptr<LocalAgent>> LocalAgent::Start(const Config& config,
                                                              const std::string& node_id,
                                                              cluster::CatalogAccess& consensus,
                                                              const Clock& clock) {
  std::unique_ptr<LocalAgent> agent(new LocalAgent(config, node_id, consensus, clock));
  // Without a leader there is nobody to tell yet; the sync does it later.
  if (consensus.has_leader() && !IsKnown(consensus, config.node_name)) {
    RETURN_IF_ERROR(IgnoreNoLeader(consensus.ProposeAndWait(Announce(agent->node_)).status()));
  }
  agent->loop_->PostAndWait([&] { agent->Open(); });
  RETURN_IF_ERROR(agent->Reload(config));
  return agent;
}

LocalAgent::LocalAgent(const Config& config, const std::string& node_id,
                       cluster::CatalogAccess& consensus, const Clock& clock)
    : consensus_(consensus),
      clock_(clock),
      keeps_nothing_(config.data_dir.empty()),
      remote_scripts_(config.enable_script_checks),
      node_id_(node_id),
      node_(MakeNodeRegistration(config, node_id)),
      runner_options_(MakeRunnerOptions(config)),
      store_(config.data_dir),
      random_(SecureRandomU64()),
      sync_backoff_(kRetryMin),
      loop_(std::make_unique<Loop>("checks")),
      mailbox_(std::make_shared<LoopMailbox>(*loop_)) {}

LocalAgent::~LocalAgent() {
  if (subscription_ >= 0) consensus_.Unsubscribe(subscription_);
  loop_->PostAndWait([this] { Close(); });
  loop_->Stop();
}

void LocalAgent::Open() {
  runner_ = std::make_unique<CheckRunner>(
      *loop_, clock_, runner_options_, [this](CheckReport report) { OnReport(std::move(report)); },
      [this](const CheckDefinition& definition) { return ReadAlias(definition); });
  sync_timer_ = std::make_unique<LoopTimer>(loop_->uv());
  output_timer_ = std::make_unique<LoopTimer>(loop_->uv());
  reap_timer_ = std::make_unique<LoopTimer>(loop_->uv());
  reap_timer_->Every(kReapInterval, [this] { DeregisterLongCritical(); });
  leases_ = std::make_unique<Leases>(*this, store_, clock_, *loop_, SecureRandomU64());
  LoadKept();
  subscription_ = consensus_.Subscribe([this](const registry::Changes& changes) {
    if (alias_checks_.load() == 0 || !changes.checks) return;
    LoopMailbox::Post(mailbox_, [this] { runner_->AliasesChanged(); });
  });
}

void LocalAgent::Close() {
  mailbox_->Close();
  service_waits_.clear();
  waiting_for_step_.clear();
  leases_.reset();
  runner_.reset();
  sync_timer_.reset();
  output_timer_.reset();
  reap_timer_.reset();
  tick_timer_.reset();
}

void LocalAgent::SyncSoon() {
  LoopMailbox::Post(mailbox_, [this] {
    if (sync_timer_ == nullptr) return;
    sync_timer_->Once(absl::ZeroDuration(), [this] { Sync([](const absl::Status&) {}); });
  });
}

void LocalAgent::SetTick(absl::Duration interval, std::function<void()> tick) {
  loop_->PostAndWait([&] {
    tick();
    tick_timer_ = std::make_unique<LoopTimer>(loop_->uv());
    tick_timer_->Every(interval, std::move(tick));
  });
}

absl::Status LocalAgent::Reload(const Config& config) {
  std::latch finished(1);
  absl::Status result;
  loop_->PostAndWait([&] {
    node_ = MakeNodeRegistration(config, node_id_);
    output_delay_ = config.checks_config.update_interval;
    discard_output_ = config.checks_config.discard_output;
    TakeDefinitions(config);
    if (!consensus_.has_leader()) {
      ScheduleSync(kRetryMin);
      return finished.count_down();
    }
    Sync([&](const absl::Status& status) {
      result = IgnoreNoLeader(status);
      finished.count_down();
    });
  });
  finished.wait();
  return result;
}

void LocalAgent::TakeDefinitions(const Config& config) {
  absl::flat_hash_set<std::string> services, checks;
  for (const ServiceDefinition& service : config.services) {
    services.insert(service.id);
    for (const CheckDefinition& check : service.checks) checks.insert(check.id);
  }
  for (const CheckDefinition& check : config.checks) checks.insert(check.id);

  const auto goes = [this](Source source, bool named) {
    if (named || source == Source::kLease) return false;
    return source == Source::kConfig || keeps_nothing_;
  };
  std::vector<std::string> gone;
  for (const auto& [id, check] : state_.checks) {
    if (goes(check.source, checks.contains(id))) gone.push_back(id);
  }
  for (const std::string& id : gone) RemoveCheck(id);
  gone.clear();
  for (const auto& [id, service] : state_.services) {
    if (goes(service.source, services.contains(id))) gone.push_back(id);
  }
  for (const std::string& id : gone) RemoveService(id);

  for (const ServiceDefinition& service : config.services) AddService(service, Source::kConfig);
  for (const CheckDefinition& check : config.checks) AddCheck(check, Source::kConfig);
}

void LocalAgent::LoadKept() {
  for (const KeptRegistration& kept : store_.Load(Kept::kService)) {
    absl::StatusOr<ServiceDefinition> service = ParseServiceBody(kept.body, remote_scripts_);
    if (service.ok()) {
      AddService(*std::move(service), Source::kApi);
    } else {
      PHAROS_LOG(kError, "agent", "The kept service \"%s\" is left out: %s", kept.id,
                 std::string(service.status().message()));
    }
  }
  for (const KeptRegistration& kept : store_.Load(Kept::kCheck)) {
    absl::StatusOr<CheckDefinition> check = ParseCheckBody(kept.body, remote_scripts_);
    const bool has_service =
        check.ok() && (check->service_id.empty() || state_.FindService(check->service_id));
    if (has_service) {
      AddCheck(*check, Source::kApi);
    } else {
      PHAROS_LOG(kError, "agent", "The kept check \"%s\" is left out: %s", kept.id,
                 check.ok() ? "its service is not registered any more"
                            : std::string(check.status().message()));
    }
  }
  for (const KeptRegistration& kept : store_.Load(Kept::kMaintenance)) {
    if (kept.id.empty() || state_.FindService(kept.id)) AddMaintenance(kept.id, kept.body);
  }
  leases_->Restore();
}

void LocalAgent::AddService(ServiceDefinition definition, Source source) {
  FillTaggedAddresses(definition);
  const std::string id = definition.id;
  if (source != Source::kLease) TakeFromLease(id);
  TellWaiting(id);
  const std::vector<CheckDefinition> checks = definition.checks;
  state_.services[id] = {.definition = std::move(definition), .source = source};
  for (const CheckDefinition& check : checks) AddCheck(check, source);
}

void LocalAgent::AddCheck(const CheckDefinition& definition, Source source) {
  const std::string id = definition.id;
  const auto before = state_.checks.find(id);
  LocalCheck check;
  check.source = source;
  const std::optional<CheckType> type = TypeOf(definition);
  check.type = type ? std::string(TypeWord(*type)) : "";
  check.status = InitialStatus(definition);
  absl::Time ttl_deadline = absl::InfinitePast();
  if (before != state_.checks.end()) {
    // It goes on where it was: registering a service again is no news of its health.
    check.status = before->second.status;
    check.output = before->second.output;
    ttl_deadline = runner_->TtlDeadline(id).value_or(absl::InfinitePast());
    alias_checks_ -= before->second.type == "alias" ? 1 : 0;
  } else if (check.type == "ttl") {
    const std::optional<KeptTtl> kept = store_.LoadTtl(id);
    if (kept && kept->deadline > clock_.Now()) {
      check.status = kept->status;
      check.output = kept->output;
      ttl_deadline = kept->deadline;
    }
  }
  if (check.status == registry::Health::kCritical) check.critical_since = clock_.Now();
  alias_checks_ += check.type == "alias" ? 1 : 0;
  check.definition = definition;
  const registry::Health initial = check.status;
  state_.SetCheck(std::move(check));
  const absl::Status started = runner_->Set(definition, initial, ttl_deadline);
  if (!started.ok()) {
    PHAROS_LOG(kError, "agent", "Check \"%s\" is not run: %s", id, std::string(started.message()));
  }
}

void LocalAgent::AddMaintenance(const std::string& service_id, const std::string& reason) {
  LocalCheck check = MakeMaintenanceCheck(service_id, reason);
  check.critical_since = clock_.Now();
  state_.SetCheck(std::move(check));
}

void LocalAgent::RemoveCheck(const std::string& id) {
  const auto found = state_.checks.find(id);
  if (found == state_.checks.end()) return;
  if (found->second.type == "alias") --alias_checks_;
  if (found->second.type == "maintenance") {
    LogLost("The end of the maintenance", id,
            store_.Remove(Kept::kMaintenance, found->second.definition.service_id));
  } else if (found->second.source == Source::kApi) {
    LogLost("The end of check", id, store_.Remove(Kept::kCheck, id));
  }
  if (found->second.type == "ttl") store_.RemoveTtl(id);
  runner_->Remove(id);
  changed_outputs_.erase(id);
  state_.EraseCheck(id);
}

void LocalAgent::RemoveService(const std::string& id) {
  const auto found = state_.services.find(id);
  if (found == state_.services.end()) return;
  if (found->second.source == Source::kApi) {
    LogLost("The end of service", id, store_.Remove(Kept::kService, id));
  }
  std::vector<std::string> checks;
  for (const LocalCheck* check : state_.ChecksOf(id)) checks.push_back(check->definition.id);
  for (const std::string& check : checks) RemoveCheck(check);
  state_.services.erase(found);
  TellWaiting(id);
}

void LocalAgent::RegisterService(ServiceDefinition definition, std::string_view body,
                                 bool replace_checks, Done done) {
  const std::string id = definition.id;
  LogLost("Service", id, store_.Put(Kept::kService, id, body));
  catalog::v1::Command command;
  catalog::v1::Batch& batch = *command.mutable_batch();
  if (replace_checks) {
    absl::flat_hash_set<std::string> named;
    for (const CheckDefinition& check : definition.checks) named.insert(check.id);
    std::vector<std::string> gone;
    for (const LocalCheck* check : state_.ChecksOf(id)) {
      const bool stays = named.contains(check->definition.id) || check->type == "maintenance";
      if (!stays) gone.push_back(check->definition.id);
    }
    for (const std::string& check : gone) {
      RemoveCheck(check);
      *batch.add_commands() = DeregisterOf(node_name(), "", check);
    }
  }
  AddService(std::move(definition), Source::kApi);

  catalog::v1::Register& change = *batch.add_commands()->mutable_register_();
  *change.mutable_node() = node_.node();
  *change.add_services() = MakeServiceRecord(state_.services[id].definition);
  for (const LocalCheck* check : state_.ChecksOf(id))
    *change.add_checks() = MakeCheckRecord(*check);
  PHAROS_LOG(kInfo, "agent", "Synced service: service=%s", id);
  Push(std::move(command), std::move(done));
}

void LocalAgent::DeregisterService(const std::string& id, Done done) {
  if (state_.FindService(id) == nullptr) {
    return done(absl::NotFoundError(absl::StrFormat(
        "Unknown service ID \"%s\". Ensure that the service ID is passed, not the service name.",
        id)));
  }
  TakeFromLease(id);
  RemoveService(id);
  PHAROS_LOG(kInfo, "agent", "Deregistered service: service=%s", id);
  Push(DeregisterOf(node_name(), id, ""), std::move(done));
}

void LocalAgent::RegisterCheck(const CheckDefinition& definition, std::string_view body,
                               Done done) {
  const std::string id = definition.id;
  if (!definition.service_id.empty() && state_.FindService(definition.service_id) == nullptr) {
    return done(absl::NotFoundError(
        absl::StrFormat("ServiceID \"%s\" does not exist", definition.service_id)));
  }
  LogLost("Check", id, store_.Put(Kept::kCheck, id, body));
  AddCheck(definition, Source::kApi);
  PushCheck(state_.checks[id], std::move(done));
}

void LocalAgent::DeregisterCheck(const std::string& id, Done done) {
  if (!state_.checks.contains(id)) {
    return done(absl::NotFoundError(absl::StrFormat(
        "Unknown check ID \"%s\". Ensure that the check ID is passed, not the check name.", id)));
  }
  RemoveCheck(id);
  Push(DeregisterOf(node_name(), "", id), std::move(done));
}

void LocalAgent::UpdateTtl(const std::string& id, registry::Health status, std::string output,
                           Done done) {
  // The report that follows from it pushes a change of status.
  if (const absl::Status updated = runner_->UpdateTtl(id, status, std::move(output));
      !updated.ok()) {
    return done(updated);
  }
  const LocalCheck& check = state_.checks[id];
  store_.PutTtl(id, {.status = check.status,
                     .output = check.output,
                     .deadline = runner_->TtlDeadline(id).value_or(absl::InfinitePast())});
  // Behind that change, so that who was told knows the catalog has it.
  if (pushed_ == acknowledged_) return done(absl::OkStatus());
  waiting_for_push_.emplace_back(pushed_, std::move(done));
}

void LocalAgent::SetMaintenance(const std::string& service_id, bool enable,
                                const std::string& reason, Done done) {
  if (!service_id.empty() && state_.FindService(service_id) == nullptr) {
    return done(
        absl::NotFoundError(absl::StrFormat("No service registered with ID \"%s\"", service_id)));
  }
  const std::string id = MaintenanceCheckId(service_id);
  const bool enabled = state_.checks.contains(id);
  if (enable == enabled) return done(absl::OkStatus());
  if (!enable) {
    RemoveCheck(id);
    PHAROS_LOG(kInfo, "agent", "Left maintenance mode: %s", id);
    return Push(DeregisterOf(node_name(), "", id), std::move(done));
  }
  LogLost("Maintenance", id, store_.Put(Kept::kMaintenance, service_id, reason));
  AddMaintenance(service_id, reason);
  PHAROS_LOG(kInfo, "agent", "Entered maintenance mode: %s", id);
  PushCheck(state_.checks[id], std::move(done));
}

void LocalAgent::WhenInStep(Indexed done) {
  if (out_of_step_) {
    waiting_for_step_.push_back(std::move(done));
    return;
  }
  uint64_t index = 0;
  {
    const Published<registry::Snapshot>::ReadGuard snapshot(consensus_.published());
    index = snapshot->index();
  }
  done(index);
}

void LocalAgent::FoundInStep() {
  out_of_step_ = false;
  std::vector<Indexed> waiting;
  waiting.swap(waiting_for_step_);
  for (Indexed& done : waiting) WhenInStep(std::move(done));
}

void LocalAgent::ChangeHeld(std::vector<Held> set, const std::vector<std::string>& removed,
                            Indexed done) {
  catalog::v1::Command command;
  catalog::v1::Batch& batch = *command.mutable_batch();
  for (const std::string& id : removed) {
    RemoveService(id);
    *batch.add_commands() = DeregisterOf(node_name(), id, "");
  }
  std::vector<std::string> ids;
  if (!set.empty()) {
    catalog::v1::Register& change = *batch.add_commands()->mutable_register_();
    *change.mutable_node() = node_.node();
    for (Held& held : set) {
      const std::string id = held.service.id;
      AddService(std::move(held.service), Source::kLease);
      LocalCheck check;
      check.definition.id = LeaseCheckId(id);
      check.definition.name = "Lease";
      check.definition.service_id = id;
      check.source = Source::kLease;
      check.type = "lease";
      check.status = held.health;
      check.output = std::move(held.output);
      if (check.status == registry::Health::kCritical) check.critical_since = clock_.Now();
      *change.add_services() = MakeServiceRecord(state_.services[id].definition);
      *change.add_checks() = MakeCheckRecord(state_.SetCheck(std::move(check)));
      ids.push_back(id);
    }
  }
  if (batch.commands_size() == 0) return WhenInStep(std::move(done));
  if (batch.commands_size() == 1) {
    // No batch is cheaper to apply: nothing has to be kept for taking it back.
    catalog::v1::Command single = std::move(*batch.mutable_commands(0));
    command = std::move(single);
  }
  Push(std::move(command),
       [this, ids = std::move(ids), done = std::move(done)](const absl::Status& status) mutable {
         if (status.ok()) return WhenInStep(std::move(done));
         for (const std::string& id : ids) RemoveService(id);
         done(status);
       });
}

void LocalAgent::TakeFromLease(const std::string& id) {
  const LocalService* service = state_.FindService(id);
  if (service == nullptr || service->source != Source::kLease) return;
  RemoveCheck(LeaseCheckId(id));
  leases_->OnTaken(id);
}

void LocalAgent::WaitForService(const std::string& id, absl::Duration wait, ServiceWait tell) {
  const uint64_t number = ++last_wait_;
  Waiting& waiting = service_waits_[number];
  waiting = {.id = id, .tell = std::move(tell), .timer = std::make_unique<LoopTimer>(loop_->uv())};
  waiting.timer->Once(wait, [this, number] {
    const ServiceWait due = std::move(service_waits_[number].tell);
    service_waits_.erase(number);
    due();
  });
}

void LocalAgent::TellWaiting(const std::string& id) {
  // In a later turn, when the change that is under way is whole.
  for (auto& [number, waiting] : service_waits_) {
    if (waiting.id != id) continue;
    waiting.timer->Once(absl::ZeroDuration(), [this, number = number] {
      const ServiceWait due = std::move(service_waits_[number].tell);
      service_waits_.erase(number);
      due();
    });
  }
}

void LocalAgent::OnReport(CheckReport report) {
  const auto found = state_.checks.find(report.id);
  if (found == state_.checks.end()) return;
  LocalCheck& check = found->second;
  if (discard_output_) report.output.clear();
  const bool new_status = check.status != report.status;
  const bool new_output = check.output != report.output;
  if (new_status) {
    const bool critical = report.status == registry::Health::kCritical;
    check.critical_since = critical ? clock_.Now() : absl::InfiniteFuture();
    WriteLog(
        critical ? LogLevel::kWarn : LogLevel::kInfo, "agent",
        absl::StrFormat("Check is now %s: check=%s", http::HealthName(report.status), report.id));
  }
  check.status = report.status;
  check.output = std::move(report.output);
  if (new_status) {
    changed_outputs_.erase(report.id);
    return PushCheck(check, [](const absl::Status&) {});
  }
  if (!new_output) return;
  if (changed_outputs_.empty()) output_timer_->Once(output_delay_, [this] { PushOutputs(); });
  changed_outputs_.insert(report.id);
}

AliasResult LocalAgent::ReadAlias(const CheckDefinition& definition) const {
  const std::string node =
      registry::LowerCase(definition.alias_node.empty() ? node_name() : definition.alias_node);
  const std::string service = registry::LowerCase(definition.alias_service);
  const Published<registry::Snapshot>::ReadGuard snapshot(consensus_.published());
  const registry::NodeEntry* entry = snapshot->FindNode(node);
  AliasResult result;
  if (entry == nullptr) return result;
  for (const auto& check : entry->checks) {
    const bool counts =
        check->service_id.empty() || registry::LowerCase(check->service_id) == service;
    // An alias is no reason for itself.
    if (!counts || check->id == definition.id) continue;
    if (check->status == registry::Health::kPassing) {
      if (result.status == registry::Health::kPassing) result.output = "All checks passing.";
    } else if (check->status > result.status || result.status == registry::Health::kPassing) {
      result.status = check->status;
      result.output =
          absl::StrFormat("Aliased check \"%s\" failing: %s", check->name, check->output.get());
    }
  }
  return result;
}

void LocalAgent::DeregisterLongCritical() {
  std::set<std::string> gone;
  for (const auto& [id, check] : state_.checks) {
    const absl::Duration after = check.definition.deregister_critical_service_after;
    if (after <= absl::ZeroDuration() || check.definition.service_id.empty()) continue;
    if (clock_.Now() - check.critical_since > std::max(after, kDeregisterAfterMin)) {
      gone.insert(check.definition.service_id);
    }
  }
  for (const std::string& id : gone) {
    PHAROS_LOG(kInfo, "agent", "Deregistering a service that was critical for too long: service=%s",
               id);
    DeregisterService(id, [](const absl::Status&) {});
  }
}

void LocalAgent::Push(catalog::v1::Command command, Done done) {
  const uint64_t number = ++pushed_;
  consensus_.Propose(std::move(command), [this, mailbox = mailbox_, number, done = std::move(done)](
                                             const absl::StatusOr<uint64_t>& outcome) {
    LoopMailbox::Post(mailbox, [this, number, done, status = outcome.status()] {
      if (!status.ok()) {
        PHAROS_LOG(kError, "agent", "The catalog did not take a change, which is tried again: %s",
                   std::string(status.message()));
        ++sync_failures_;
        out_of_step_ = true;
        ScheduleSync(sync_backoff_);
      }
      acknowledged_ = std::max(acknowledged_, number);
      // InvalidArgument is the author's to mend; all else is ours to try again.
      done(absl::IsInvalidArgument(status) ? status : absl::OkStatus());
      while (!waiting_for_push_.empty() && waiting_for_push_.front().first <= acknowledged_) {
        const Done waiting = std::move(waiting_for_push_.front().second);
        waiting_for_push_.pop_front();
        waiting(absl::OkStatus());
      }
    });
  });
}

void LocalAgent::PushCheck(const LocalCheck& check, Done done) {
  catalog::v1::Command command;
  catalog::v1::Register& change = *command.mutable_register_();
  *change.mutable_node() = node_.node();
  *change.add_checks() = MakeCheckRecord(check);
  Push(std::move(command), std::move(done));
}

void LocalAgent::PushOutputs() {
  catalog::v1::Command command;
  catalog::v1::Register& change = *command.mutable_register_();
  *change.mutable_node() = node_.node();
  for (const std::string& id : changed_outputs_) {
    *change.add_checks() = MakeCheckRecord(state_.checks[id]);
  }
  changed_outputs_.clear();
  if (change.checks_size() > 0) Push(std::move(command), [](const absl::Status&) {});
}

// What the catalog has of a service whose tags others may change, we take over.
void LocalAgent::AdoptTags(const registry::NodeEntry& entry) {
  for (const auto& there : entry.services) {
    const std::string id = there->id.str();
    const auto ours = state_.services.find(id);
    if (ours == state_.services.end() || !ours->second.definition.enable_tag_override) continue;
    if (ours->second.definition.tags == there->tags) continue;
    ours->second.definition.tags = there->tags;
    TellWaiting(id);
  }
}

void LocalAgent::Sync(Done done) {
  const std::string part = registry::WholeNodePart(registry::LowerCase(node_name()));
  consensus_.Have({part},
                  [this, mailbox = mailbox_, done = std::move(done)](const absl::Status& there) {
                    LoopMailbox::Post(mailbox, [this, there, done] {
                      if (there.ok()) return Compare(done);
                      ++sync_failures_;
                      ScheduleSync(kRetryMin);
                      done(there);
                    });
                  });
}

void LocalAgent::Compare(Done done) {
  std::optional<catalog::v1::Command> command;
  {
    const Published<registry::Snapshot>::ReadGuard snapshot(consensus_.published());
    const registry::NodeEntry* entry = snapshot->FindNode(registry::LowerCase(node_name()));
    if (entry != nullptr) AdoptTags(*entry);
    command = MakeSync(entry, MakeRegistration(node_, state_));
  }
  const auto finish = [this, done = std::move(done)](const absl::Status& status) {
    if (status.ok()) {
      FoundInStep();
      last_sync_ = clock_.Now();
      sync_backoff_ = kRetryMin;
      ScheduleSync(kSyncInterval);
    } else {
      ++sync_failures_;
      sync_backoff_ = std::min(sync_backoff_ * 2, kRetryMax);
      ScheduleSync(sync_backoff_);
    }
    done(status);
  };
  if (!command) return finish(absl::OkStatus());
  LogSynced(*command);
  consensus_.Propose(
      *std::move(command), [mailbox = mailbox_, finish](const absl::StatusOr<uint64_t>& outcome) {
        LoopMailbox::Post(mailbox, [finish, status = outcome.status()] { finish(status); });
      });
}

void LocalAgent::ScheduleSync(absl::Duration delay) {
  // Not in step with the other agents.
  const auto jitter_ms = static_cast<uint32_t>(absl::ToInt64Milliseconds(delay) / 4 + 1);
  sync_timer_->Once(delay + absl::Milliseconds(random_.Below(jitter_ms)),
                    [this] { Sync([](const absl::Status&) {}); });
}

}  // namespace pharos::agent
