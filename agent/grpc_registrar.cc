#include "agent/grpc_registrar.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "agent/local/body.h"
#include "agent/local/leases.h"
#include "base/json_writer.h"
#include "http/shapes.h"
#include "rpc/errors.h"
#include "rpc/instances.h"
#include "rpc/validate.h"

namespace pharos::agent {
namespace {

// A registration in the form that the HTTP API takes it, which is what is kept on disk.
std::string MakeBody(const discovery::v1::RegisterRequest& request) {
  const ServiceDefinition service = MakeDefinition(request.instance());
  JsonWriter json;
  json.BeginObject();
  json.Field("ID", service.id);
  json.Field("Name", service.name);
  json.Key("Tags");
  http::WriteStrings(service.tags, json);
  json.Field("Address", service.address);
  json.IntField("Port", service.port);
  json.Key("Meta");
  http::WritePairs(service.meta, http::Nothing::kEmpty, json);
  json.Key("Weights");
  json.BeginObject();
  json.IntField("Passing", service.weight_passing);
  json.IntField("Warning", service.weight_warning);
  json.EndObject();
  if (!service.locality.empty()) {
    json.Key("Locality");
    json.BeginObject();
    json.Field("Region", service.locality.region);
    json.Field("Zone", service.locality.zone);
    json.EndObject();
  }
  if (request.ttl_ms() > 0) {
    json.Key("Check");
    json.BeginObject();
    json.Field("TTL", absl::StrFormat("%dms", request.ttl_ms()));
    json.Field("Status", http::HealthName(rpc::FromMessage(request.instance().health())));
    json.EndObject();
  }
  json.EndObject();
  return json.Take();
}

std::string TtlCheckId(const std::string& service_id) { return "service:" + service_id; }

absl::Status HeldByStream(const std::string& id) {
  return absl::FailedPreconditionError(absl::StrFormat(
      "instance \"%s\" is held by a stream (Hold), which alone may change it", rpc::Excerpt(id)));
}

absl::Status Unknown(const std::string& id) {
  return rpc::WithReason(absl::NotFoundError(absl::StrFormat(
                             "no instance \"%s\" is registered at this agent", rpc::Excerpt(id))),
                         "UNKNOWN_INSTANCE");
}

}  // namespace

void GrpcRegistrar::Register(discovery::v1::RegisterRequest request, Done done) {
  local_.loop().Post([this, request = std::move(request), done = std::move(done)] {
    const std::string key =
        request.request_id().empty() ? "" : absl::StrCat("r", request.request_id());
    Once(
        key, [&](Done answer) { DoRegister(request, std::move(answer)); }, done);
  });
}

void GrpcRegistrar::Deregister(discovery::v1::DeregisterRequest request, Done done) {
  local_.loop().Post([this, request = std::move(request), done = std::move(done)] {
    const std::string key =
        request.request_id().empty() ? "" : absl::StrCat("d", request.request_id());
    Once(
        key, [&](Done answer) { DoDeregister(request.id(), std::move(answer)); }, done);
  });
}

void GrpcRegistrar::UpdateHealth(discovery::v1::UpdateHealthRequest request, Done done) {
  local_.loop().Post([this, request = std::move(request), done = std::move(done)] {
    const std::string key =
        request.request_id().empty() ? "" : absl::StrCat("u", request.request_id());
    Once(
        key, [&](Done answer) { DoUpdateHealth(request, std::move(answer)); }, done);
  });
}

void GrpcRegistrar::Open(discovery::v1::HoldOpen request, Taken taken, OpenDone done) {
  local_.loop().Post([this, request = std::move(request), taken = std::move(taken),
                      done = std::move(done)] { local_.leases().Open(request, taken, done); });
}

void GrpcRegistrar::Change(Session session, discovery::v1::HoldRequest request, Done done) {
  local_.loop().Post([this, session, request = std::move(request), done = std::move(done)] {
    local_.leases().Change(session, request, done);
  });
}

void GrpcRegistrar::Release(Session session, Done done) {
  local_.loop().Post(
      [this, session, done = std::move(done)] { local_.leases().Release(session, done); });
}

void GrpcRegistrar::Lost(Session session) {
  local_.loop().Post([this, session] { local_.leases().Lost(session); });
}

void GrpcRegistrar::Once(const std::string& key, const std::function<void(Done)>& work, Done done) {
  if (key.empty()) return work(std::move(done));
  Answer& answer = answers_[key];
  if (answer.done) return done(answer.index);
  answer.waiting.push_back(std::move(done));
  if (answer.waiting.size() > 1) return;
  work([this, key](const absl::StatusOr<uint64_t>& outcome) {
    Answer& mine = answers_[key];
    std::vector<Done> waiting;
    waiting.swap(mine.waiting);
    if (outcome.ok()) {
      mine.done = true;
      mine.index = *outcome;
      answered_.push_back(key);
      if (answered_.size() > kRequestIdsMax) {
        answers_.erase(answered_.front());
        answered_.pop_front();
      }
    } else {
      // Whoever tries again may have better luck.
      answers_.erase(key);
    }
    for (const Done& each : waiting) each(outcome);
  });
}

LocalAgent::Done GrpcRegistrar::WhenVisible(Done done) {
  return [this, done = std::move(done)](const absl::Status& status) {
    if (!status.ok()) return done(status);
    local_.WhenInStep(done);
  };
}

void GrpcRegistrar::DoRegister(const discovery::v1::RegisterRequest& request, Done done) {
  const std::string& id = rpc::IdOf(request.instance());
  if (local_.leases().Holds(id)) {
    return done(rpc::WithReason(
        absl::AlreadyExistsError(absl::StrFormat(
            "instance \"%s\" is held by a stream (Hold); choose another id", rpc::Excerpt(id))),
        "ID_IN_USE"));
  }
  const std::string body = MakeBody(request);
  absl::StatusOr<ServiceDefinition> service = ParseServiceBody(body, false);
  if (!service.ok()) return done(absl::InvalidArgumentError(service.status().message()));
  // Whatever checks it had before are replaced: what is registered is what was asked for now.
  local_.RegisterService(*std::move(service), body, true, WhenVisible(std::move(done)));
}

void GrpcRegistrar::DoDeregister(const std::string& id, Done done) {
  if (local_.leases().Holds(id)) return done(HeldByStream(id));
  const LocalService* service = local_.state().FindService(id);
  if (service == nullptr) return done(Unknown(id));
  if (service->source == Source::kConfig) {
    return done(absl::FailedPreconditionError(
        absl::StrFormat("instance \"%s\" is defined by a configuration file; take it out there and "
                        "reload the agent",
                        rpc::Excerpt(id))));
  }
  local_.DeregisterService(id, WhenVisible(std::move(done)));
}

void GrpcRegistrar::DoUpdateHealth(const discovery::v1::UpdateHealthRequest& request, Done done) {
  const std::string& id = request.id();
  if (local_.leases().Holds(id)) return done(HeldByStream(id));
  if (local_.state().FindService(id) == nullptr) return done(Unknown(id));
  local_.UpdateTtl(TtlCheckId(id), rpc::FromMessage(request.health()), request.output(),
                   [this, id, done = std::move(done)](const absl::Status& status) {
                     if (status.ok()) return local_.WhenInStep(done);
                     done(absl::FailedPreconditionError(absl::StrFormat(
                         "instance \"%s\" was registered without a ttl; register it with one to "
                         "report its health",
                         rpc::Excerpt(id))));
                   });
}

}  // namespace pharos::agent
