#include "agent/local/leases.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>

#include "absl/strings/str_format.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "registry/records.h"
#include "rpc/errors.h"
#include "rpc/instances.h"
#include "rpc/validate.h"

namespace pharos::agent {
namespace {

using discovery::v1::HoldOpen;
using discovery::v1::HoldRequest;
using discovery::v1::InstanceSpec;
using rpc::Registrar;

constexpr absl::Duration kRetryDelay = absl::Seconds(10);

std::string Key(const std::string& id) { return registry::LowerCase(id); }

absl::Status NotHeld(const std::string& id) {
  return rpc::WithReason(
      absl::NotFoundError(absl::StrFormat("this lease holds no instance \"%s\"", rpc::Excerpt(id))),
      "NOT_HELD");
}

absl::Status InUse(const std::string& id, std::string_view by) {
  return rpc::WithReason(
      absl::AlreadyExistsError(absl::StrFormat(
          "instance \"%s\" is registered by %s; choose another id", rpc::Excerpt(id), by)),
      "ID_IN_USE");
}

absl::Status SessionOver() {
  return rpc::WithReason(absl::AbortedError("this stream does not have its lease any more"),
                         "LEASE_TAKEN");
}

// Without regard to health, which unspecified leaves as it is.
bool SameSpec(const InstanceSpec& a, InstanceSpec b) {
  b.set_health(a.health());
  const ServiceDefinition x = MakeDefinition(a), y = MakeDefinition(b);
  return x.id == y.id && x.name == y.name && x.tags == y.tags && x.address == y.address &&
         x.port == y.port && x.meta == y.meta && x.weight_passing == y.weight_passing &&
         x.weight_warning == y.weight_warning && x.locality == y.locality;
}

LocalAgent::Held MakeHeld(const InstanceSpec& instance, std::string output) {
  return {.service = MakeDefinition(instance),
          .health = rpc::FromMessage(instance.health()),
          .output = std::move(output)};
}

}  // namespace

ServiceDefinition MakeDefinition(const InstanceSpec& instance) {
  ServiceDefinition service;
  service.id = rpc::IdOf(instance);
  service.name = instance.service();
  service.tags.assign(instance.tags().begin(), instance.tags().end());
  service.address = instance.address();
  service.port = static_cast<int>(instance.port());
  service.meta.assign(instance.meta().begin(), instance.meta().end());
  std::sort(service.meta.begin(), service.meta.end());
  if (instance.has_weights()) {
    service.weight_passing = static_cast<int>(instance.weights().passing());
    service.weight_warning = static_cast<int>(instance.weights().warning());
  }
  service.locality = {instance.locality().region(), instance.locality().zone()};
  return service;
}

Leases::Leases(LocalAgent& agent, Store& store, const Clock& clock, Loop& loop, uint64_t seed)
    : agent_(agent),
      store_(store),
      clock_(clock),
      random_(seed),
      expiry_timer_(loop.uv()),
      keep_timer_(loop.uv()) {}

void Leases::Restore() {
  std::vector<LocalAgent::Held> held;
  for (const KeptRegistration& kept : store_.Load(Kept::kLease)) {
    HoldRequest request;
    HoldOpen& open = *request.mutable_open();
    const bool good = google::protobuf::util::JsonStringToMessage(kept.body, &open).ok() &&
                      open.lease_id() == kept.id && rpc::Validate(request).ok();
    if (!good) {
      PHAROS_LOG(kError, "agent", "The kept lease \"%s\" is left out: it is not as it was written",
                 rpc::Excerpt(kept.id));
      continue;
    }
    Lease& lease = *(leases_[kept.id] = std::make_unique<Lease>());
    lease.id = kept.id;
    lease.ttl_ms = open.ttl_ms();
    lease.grace_ms = open.grace_ms();
    for (const InstanceSpec& instance : open.instances()) {
      const std::string key = Key(rpc::IdOf(instance));
      const bool free =
          !owners_.contains(key) && agent_.state().FindService(rpc::IdOf(instance)) == nullptr;
      if (!free) continue;
      owners_[key] = &lease;
      lease.instances[key] = instance;
      held.push_back(MakeHeld(instance, ""));
    }
    SetDeadline(lease, clock_.Now() + absl::Milliseconds(lease.ttl_ms));
  }
  if (leases_.empty()) return;
  PHAROS_LOG(kInfo, "agent", "Leases wait for their holders: leases=%d instances=%d",
             leases_.size(), held.size());
  agent_.ChangeHeld(std::move(held), {}, [](const absl::StatusOr<uint64_t>&) {});
}

Leases::Lease* Leases::FindSession(Registrar::Session session) {
  const auto found = sessions_.find(session);
  return found == sessions_.end() ? nullptr : found->second;
}

Leases::Lease& Leases::NewLease() {
  auto lease = std::make_unique<Lease>();
  lease->id = absl::StrFormat("%016x%016x", random_.Next(), random_.Next());
  return *(leases_[lease->id] = std::move(lease));
}

absl::Status Leases::CheckRoom(size_t more) const {
  if (owners_.size() + more <= kInstancesMax) return absl::OkStatus();
  return rpc::WithRetry(absl::ResourceExhaustedError(absl::StrFormat(
                            "this agent holds %d instances, of at most %d; register at another",
                            owners_.size(), kInstancesMax)),
                        kRetryDelay);
}

absl::Status Leases::Claim(const InstanceSpec& instance, const Lease* lease) {
  const std::string& id = rpc::IdOf(instance);
  const auto owner = owners_.find(Key(id));
  if (owner == owners_.end()) {
    if (agent_.state().FindService(id) == nullptr) return absl::OkStatus();
    return InUse(id, "a file or a request");
  }
  if (owner->second == lease) return absl::OkStatus();
  // Whose holder is away has no say: a restarted process takes its place.
  return owner->second->session == 0 ? absl::OkStatus() : InUse(id, "another holder");
}

void Leases::Open(HoldOpen request, Registrar::Taken taken, Registrar::OpenDone done) {
  const auto found = leases_.find(request.lease_id());
  Lease* lease = found == leases_.end() ? nullptr : found->second.get();
  const bool resumed = lease != nullptr;
  absl::Status claimed = absl::OkStatus();
  size_t more = 0;
  for (const InstanceSpec& instance : request.instances()) {
    claimed.Update(Claim(instance, lease));
    if (!owners_.contains(Key(rpc::IdOf(instance)))) ++more;
  }
  if (claimed.ok()) claimed = CheckRoom(more);
  if (claimed.ok() && !resumed && leases_.size() >= kLeasesMax) {
    claimed =
        rpc::WithRetry(absl::ResourceExhaustedError("this agent has too many leases"), kRetryDelay);
  }
  if (!claimed.ok()) {
    if (absl::IsResourceExhausted(claimed)) ++refused_;
    return done(claimed);
  }

  if (!resumed) lease = &NewLease();
  if (lease->session != 0) {
    sessions_.erase(lease->session);
    lease->taken(rpc::WithReason(absl::AbortedError("another stream has resumed this lease"),
                                 "LEASE_TAKEN"));
  }
  SetDeadline(*lease, absl::InfiniteFuture());
  lease->session = ++last_session_;
  sessions_[lease->session] = lease;
  lease->taken = std::move(taken);
  lease->ttl_ms = request.ttl_ms() == 0 ? rpc::kLeaseTtlDefaultMs : request.ttl_ms();
  lease->grace_ms = request.grace_ms();

  std::vector<std::string> removed;
  std::map<std::string, InstanceSpec> before;
  before.swap(lease->instances);
  std::vector<LocalAgent::Held> set;
  for (InstanceSpec& instance : *request.mutable_instances()) {
    const std::string key = Key(rpc::IdOf(instance));
    const auto known = before.find(key);
    bool changed = true;
    if (known != before.end()) {
      changed = !SameSpec(known->second, instance);
      if (instance.health() == discovery::v1::HEALTH_UNSPECIFIED) {
        instance.set_health(known->second.health());
      }
      changed |= instance.health() != known->second.health();
      // In another spelling it is another one to this agent.
      if (rpc::IdOf(known->second) != rpc::IdOf(instance)) {
        removed.push_back(rpc::IdOf(known->second));
      }
      before.erase(known);
    } else {
      Forget(key);
    }
    if (changed) set.push_back(MakeHeld(instance, ""));
    owners_[key] = lease;
    lease->instances[key] = std::move(instance);
  }
  for (const auto& [key, instance] : before) {
    owners_.erase(key);
    removed.push_back(rpc::IdOf(instance));
  }
  Keep(*lease);

  Registrar::Opened opened;
  opened.session = lease->session;
  opened.response.set_lease_id(lease->id);
  opened.response.set_resumed(resumed);
  opened.response.set_ttl_ms(lease->ttl_ms);
  opened.response.set_grace_ms(lease->grace_ms);
  auto answer = [this, opened,
                 done = std::move(done)](const absl::StatusOr<uint64_t>& index) mutable {
    if (!index.ok()) {
      // The catalog would not have it, so there is nothing to hold.
      const Lease* refused = FindSession(opened.session);
      if (refused != nullptr) Erase(refused->id);
      return done(index.status());
    }
    opened.response.set_index(*index);
    done(opened);
  };
  agent_.ChangeHeld(std::move(set), removed, std::move(answer));
}

void Leases::Change(Registrar::Session session, const HoldRequest& request, Registrar::Done done) {
  Lease* lease = FindSession(session);
  if (lease == nullptr) return done(SessionOver());
  switch (request.request_case()) {
    case HoldRequest::kRegister:
      return Register(*lease, request.register_().instance(), std::move(done));
    case HoldRequest::kDeregister:
      return Deregister(*lease, request.deregister().id(), std::move(done));
    case HoldRequest::kHealth:
      return Report(*lease, request.health(), std::move(done));
    default:
      return done(absl::InvalidArgumentError("expected register, deregister or health"));
  }
}

void Leases::Register(Lease& lease, InstanceSpec instance, Registrar::Done done) {
  const std::string id = rpc::IdOf(instance);
  const std::string key = Key(id);
  const auto known = lease.instances.find(key);
  absl::Status claimed = Claim(instance, &lease);
  if (claimed.ok() && known == lease.instances.end()) {
    claimed = CheckRoom(1);
    if (lease.instances.size() >= rpc::kInstancesPerLeaseMax) {
      claimed = rpc::WithReason(absl::ResourceExhaustedError(absl::StrFormat(
                                    "this lease holds %d instances already; open another for more",
                                    lease.instances.size())),
                                "LEASE_TOO_LARGE");
    }
  }
  if (!claimed.ok()) {
    if (absl::IsResourceExhausted(claimed)) ++refused_;
    return done(claimed);
  }
  std::vector<std::string> removed;
  if (known == lease.instances.end()) {
    Forget(key);
  } else {
    if (instance.health() == discovery::v1::HEALTH_UNSPECIFIED) {
      instance.set_health(known->second.health());
    }
    if (rpc::IdOf(known->second) != id) removed.push_back(rpc::IdOf(known->second));
  }
  owners_[key] = &lease;
  LocalAgent::Held held = MakeHeld(instance, "");
  lease.instances[key] = std::move(instance);
  Keep(lease);
  agent_.ChangeHeld({std::move(held)}, removed,
                    [this, key, done = std::move(done)](const absl::StatusOr<uint64_t>& index) {
                      if (!index.ok()) Forget(key);
                      done(index);
                    });
}

void Leases::Deregister(Lease& lease, const std::string& id, Registrar::Done done) {
  const auto found = lease.instances.find(Key(id));
  if (found == lease.instances.end()) return done(NotHeld(id));
  const std::string its_id = rpc::IdOf(found->second);
  owners_.erase(found->first);
  lease.instances.erase(found);
  Keep(lease);
  agent_.ChangeHeld({}, {its_id}, std::move(done));
}

void Leases::Report(Lease& lease, const discovery::v1::HoldHealth& report, Registrar::Done done) {
  const auto found = lease.instances.find(Key(report.id()));
  if (found == lease.instances.end()) return done(NotHeld(report.id()));
  found->second.set_health(report.health());
  KeepLater(lease);
  agent_.ChangeHeld({MakeHeld(found->second, report.output())}, {}, std::move(done));
}

void Leases::Release(Registrar::Session session, Registrar::Done done) {
  Lease* lease = FindSession(session);
  if (lease == nullptr) return done(SessionOver());
  agent_.ChangeHeld({}, Erase(lease->id), std::move(done));
}

void Leases::Lost(Registrar::Session session) {
  Lease* lease = FindSession(session);
  if (lease == nullptr) return;
  sessions_.erase(session);
  lease->session = 0;
  lease->taken = nullptr;
  SetDeadline(*lease, clock_.Now() + absl::Milliseconds(lease->grace_ms));
  if (lease->grace_ms == 0) Expire();
}

bool Leases::Holds(const std::string& id) const { return owners_.contains(Key(id)); }

void Leases::OnTaken(const std::string& id) { Forget(Key(id)); }

void Leases::Forget(const std::string& lower_id) {
  const auto owner = owners_.find(lower_id);
  if (owner == owners_.end()) return;
  Lease& lease = *owner->second;
  owners_.erase(owner);
  lease.instances.erase(lower_id);
  Keep(lease);
}

std::vector<std::string> Leases::Erase(const std::string& lease_id) {
  Lease& lease = *leases_.find(lease_id)->second;
  std::vector<std::string> ids;
  for (const auto& [key, instance] : lease.instances) {
    owners_.erase(key);
    ids.push_back(rpc::IdOf(instance));
  }
  if (lease.session != 0) sessions_.erase(lease.session);
  SetDeadline(lease, absl::InfiniteFuture());
  unkept_.erase(lease_id);
  if (const absl::Status removed = store_.Remove(Kept::kLease, lease_id); !removed.ok()) {
    PHAROS_LOG(kError, "agent", "%s", std::string(removed.message()));
  }
  leases_.erase(lease_id);
  return ids;
}

void Leases::Keep(Lease& lease) {
  HoldOpen kept;
  kept.set_lease_id(lease.id);
  kept.set_ttl_ms(lease.ttl_ms);
  kept.set_grace_ms(lease.grace_ms);
  for (const auto& [key, instance] : lease.instances) *kept.add_instances() = instance;
  std::string body;
  const bool encoded = google::protobuf::util::MessageToJsonString(kept, &body).ok();
  const absl::Status put = encoded ? store_.Put(Kept::kLease, lease.id, body)
                                   : absl::InternalError("it has no form as JSON");
  if (!put.ok()) {
    PHAROS_LOG(kError, "agent", "A lease is not kept over a restart of the agent: %s",
               std::string(put.message()));
  }
  unkept_.erase(lease.id);
}

void Leases::KeepLater(Lease& lease) {
  if (unkept_.empty()) {
    keep_timer_.Once(kKeepDelay, [this] {
      const std::set<std::string> unkept = unkept_;
      for (const std::string& id : unkept) Keep(*leases_.find(id)->second);
    });
  }
  unkept_.insert(lease.id);
}

void Leases::SetDeadline(Lease& lease, absl::Time deadline) {
  deadlines_.erase({lease.deadline, lease.id});
  lease.deadline = deadline;
  if (deadline != absl::InfiniteFuture()) deadlines_.emplace(deadline, lease.id);
  SetTimer();
}

void Leases::SetTimer() {
  if (deadlines_.empty()) return expiry_timer_.Cancel();
  const absl::Duration left = deadlines_.begin()->first - clock_.Now();
  expiry_timer_.Once(std::max(left, absl::ZeroDuration()), [this] { Expire(); });
}

void Leases::Expire() {
  const absl::Time now = clock_.Now();
  std::vector<std::string> removed;
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    const std::string id = deadlines_.begin()->second;
    for (std::string& instance : Erase(id)) {
      PHAROS_LOG(kInfo, "agent", "Withdrew a service whose holder is gone: service=%s", instance);
      removed.push_back(std::move(instance));
    }
    ++expired_;
  }
  SetTimer();  // It may have come a little early.
  if (removed.empty()) return;
  agent_.ChangeHeld({}, removed, [](const absl::StatusOr<uint64_t>&) {});
}

LeaseCounts Leases::counts() const {
  return {.leases = leases_.size(),
          .orphans = leases_.size() - sessions_.size(),
          .instances = owners_.size(),
          .expired = expired_,
          .refused = refused_};
}

}  // namespace pharos::agent
