// Reads of what is registered at this agent: services, checks, and health by id and name.

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "agent/api/agent_api.h"
#include "agent/api/service_hash.h"
#include "agent/registration.h"
#include "base/status_macros.h"
#include "http/errors.h"
#include "http/filter/record_schemas.h"
#include "http/read_filter.h"
#include "http/shapes.h"
#include "registry/make_records.h"

namespace pharos::agent {
namespace {

using http::Exchange;
using http::JsonResponse;
using http::Response;

constexpr const char* kHashHeader = "X-Consul-ContentHash";

std::unique_ptr<registry::Service> RecordOf(const LocalService& service) {
  return registry::MakeService(MakeServiceRecord(service.definition));
}

// A check with the service that it is of.
struct CheckRecord {
  std::unique_ptr<registry::HealthCheck> check;
  std::vector<std::string> tags;
};

CheckRecord RecordOf(const LocalCheck& local, const LocalState& state) {
  CheckRecord record{.check = registry::MakeHealthCheck(MakeCheckRecord(local)), .tags = {}};
  if (const LocalService* service = state.FindService(local.definition.service_id)) {
    record.check->service_name = service->definition.name;
    record.tags = service->definition.tags;
  }
  return record;
}

// The agent's own shape: without what only the catalog knows.
void WriteService(const registry::Service& service, const std::string& datacenter,
                  std::string_view hash, JsonWriter& json) {
  json.BeginObject();
  if (!service.details->kind.empty()) json.Field("Kind", service.details->kind);
  json.Field("ID", service.id);
  json.Field("Service", service.name);
  json.Key("Tags");
  http::WriteStrings(service.tags, json);
  json.Key("Meta");
  http::WritePairs(service.meta, http::Nothing::kEmpty, json);
  json.IntField("Port", service.port);
  json.Field("Address", service.address);
  if (!service.details->tagged_addresses.empty()) {
    json.Key("TaggedAddresses");
    http::WriteTaggedAddresses(service.details->tagged_addresses, json);
  }
  if (!service.details->socket_path.empty()) json.Field("SocketPath", service.details->socket_path);
  json.Key("Weights");
  json.BeginObject();
  json.IntField("Passing", service.weight_passing);
  json.IntField("Warning", service.weight_warning);
  json.EndObject();
  json.BoolField("EnableTagOverride", service.enable_tag_override);
  http::WriteMeshIfAny(service, json);
  json.Field("Datacenter", datacenter);
  if (!hash.empty()) json.Field("ContentHash", hash);
  json.EndObject();
}

absl::StatusOr<std::string> WriteServices(const LocalAgent& local, const std::string& expression,
                                          JsonWriter json) {
  ASSIGN_OR_RETURN(const auto filter, http::ParseReadFilter(expression, http::kServiceSchema));
  json.BeginObject();
  for (const auto& [id, service] : local.state().services) {
    const std::unique_ptr<registry::Service> record = RecordOf(service);
    if (!http::Fits(filter, *record)) continue;
    json.Key(id);
    WriteService(*record, local.node().datacenter(), "", json);
  }
  json.EndObject();
  return json.Take();
}

absl::StatusOr<std::string> WriteChecks(const LocalAgent& local, const std::string& expression,
                                        JsonWriter json) {
  ASSIGN_OR_RETURN(const auto filter, http::ParseReadFilter(expression, http::kCheckSchema));
  json.BeginObject();
  for (const auto& [id, check] : local.state().checks) {
    const CheckRecord record = RecordOf(check, local.state());
    const http::CheckView view{record.check.get(), local.node_name(), record.tags};
    if (!http::Fits(filter, view)) continue;
    json.Key(id);
    http::WriteCheck(*record.check, local.node_name(), record.tags, json);
  }
  json.EndObject();
  return json.Take();
}

using WriteAll = absl::StatusOr<std::string> (*)(const LocalAgent&, const std::string&, JsonWriter);

http::Router::Handler ListRoute(http::Api& api, const AgentApi& agent, WriteAll write) {
  return [&api, &agent, write](const std::shared_ptr<Exchange>& exchange, const std::string&) {
    const std::string filter(exchange->request().Parameter("filter").value_or(""));
    AnswerFromLocal(api, agent, exchange,
                    [write, filter, json = api.MakeJson(exchange->request())](LocalAgent& local) {
                      const absl::StatusOr<std::string> text = write(local, filter, json);
                      return text.ok() ? JsonResponse(*text) : http::ErrorResponse(text.status());
                    });
  };
}

// Health of services, aggregated over their checks and the node's.

struct Aggregate {
  std::string word = "passing";
  int status = 200;
  std::vector<const LocalCheck*> checks;
};

Aggregate AggregateOf(const LocalState& state, const std::string& service_id) {
  Aggregate aggregate;
  bool maintenance = false;
  registry::Health worst = registry::Health::kPassing;
  for (const std::string& owner : {std::string(), service_id}) {
    for (const LocalCheck* check : state.ChecksOf(owner)) {
      maintenance |= check->type == "maintenance";
      worst = std::max(worst, check->status);
      aggregate.checks.push_back(check);
    }
  }
  aggregate.word = maintenance ? "maintenance" : std::string(http::HealthName(worst));
  if (worst == registry::Health::kWarning) aggregate.status = 429;
  if (worst == registry::Health::kCritical || maintenance) aggregate.status = 503;
  return aggregate;
}

void WriteAggregate(const LocalService& service, const Aggregate& aggregate,
                    const LocalAgent& local, JsonWriter& json) {
  json.BeginObject();
  json.Field("AggregatedStatus", aggregate.word);
  json.Key("Service");
  WriteService(*RecordOf(service), local.node().datacenter(), "", json);
  json.Key("Checks");
  json.BeginArray();
  for (const LocalCheck* check : aggregate.checks) {
    const CheckRecord record = RecordOf(*check, local.state());
    http::WriteCheck(*record.check, local.node_name(), record.tags, json);
  }
  json.EndArray();
  json.EndObject();
}

Response WithReason(Response response, int status, std::string reason) {
  response.status = status;
  response.headers.emplace_back("X-Consul-Reason", std::move(reason));
  return response;
}

bool WantsText(const http::Request& request) {
  return request.Parameter("format") == "text" || request.Header("accept") == "text/plain";
}

Response HealthById(const LocalAgent& local, const std::string& id, bool text, JsonWriter json) {
  const LocalService* service = local.state().FindService(id);
  if (service == nullptr) {
    const std::string reason = absl::StrFormat("ServiceId %s not found", id);
    if (text) return WithReason(http::TextResponse(404, reason), 404, reason);
    json.BeginObject();
    json.Field("AggregatedStatus", "critical");
    json.RawField("Service", "null");
    json.RawField("Checks", "null");
    json.EndObject();
    return WithReason(JsonResponse(json.Take()), 404, reason);
  }
  const Aggregate aggregate = AggregateOf(local.state(), id);
  if (text) {
    return WithReason(http::TextResponse(200, aggregate.word), aggregate.status, aggregate.word);
  }
  WriteAggregate(*service, aggregate, local, json);
  return WithReason(JsonResponse(json.Take()), aggregate.status, aggregate.word);
}

Response HealthByName(const LocalAgent& local, const std::string& name, bool text,
                      JsonWriter json) {
  std::optional<Aggregate> worst;
  json.BeginArray();
  for (const auto& [id, service] : local.state().services) {
    if (service.definition.name != name) continue;
    Aggregate aggregate = AggregateOf(local.state(), id);
    WriteAggregate(service, aggregate, local, json);
    if (!worst || aggregate.status > worst->status) worst = std::move(aggregate);
  }
  json.EndArray();
  const std::string reason =
      worst ? worst->word : absl::StrFormat("ServiceName %s Not Found", name);
  const int status = worst ? worst->status : 404;
  return WithReason(text ? http::TextResponse(200, reason) : JsonResponse(json.Take()), status,
                    reason);
}

using WriteHealth = Response (*)(const LocalAgent&, const std::string&, bool, JsonWriter);

http::Router::Handler HealthRoute(http::Api& api, const AgentApi& agent, std::string missing,
                                  WriteHealth write) {
  return [&api, &agent, missing = std::move(missing), write](
             const std::shared_ptr<Exchange>& exchange, const std::string& argument) {
    if (argument.empty()) return exchange->Respond(http::TextResponse(400, missing));
    AnswerFromLocal(api, agent, exchange,
                    [write, argument, text = WantsText(exchange->request()),
                     json = api.MakeJson(exchange->request())](LocalAgent& local) {
                      return write(local, argument, text, json);
                    });
  };
}

// One service, which a client may wait for to change by its hash.

Response OneService(const LocalAgent& local, const std::string& id, JsonWriter json,
                    std::string& hash) {
  const LocalService* service = local.state().FindService(id);
  if (service == nullptr) {
    return http::TextResponse(404, absl::StrFormat("unknown service ID: %s", id));
  }
  const std::unique_ptr<registry::Service> record = RecordOf(*service);
  hash = ServiceContentHash(*record);
  WriteService(*record, local.node().datacenter(), hash, json);
  Response response = JsonResponse(json.Take());
  response.headers.emplace_back(kHashHeader, hash);
  return response;
}

// Once the service's hash is another than the given one, or at the deadline.
void AnswerOther(LocalAgent& local, const std::string& id, const JsonWriter& json,
                 const std::string& hash, absl::Time deadline,
                 const std::function<void(Response)>& answer) {
  std::string now_hash;
  Response response = OneService(local, id, json, now_hash);
  const absl::Duration left = deadline - absl::Now();
  if (hash.empty() || hash != now_hash || left <= absl::ZeroDuration()) {
    return answer(std::move(response));
  }
  local.WaitForService(id, left, [&local, id, json, hash, deadline, answer] {
    AnswerOther(local, id, json, hash, deadline, answer);
  });
}

void AnswerService(http::Api& api, const AgentApi& agent, const std::shared_ptr<Exchange>& exchange,
                   const std::string& id, const http::ReadOptions& options) {
  agent.local.loop().Post([&local = agent.local, mailbox = api.mailbox(), exchange, id, options,
                           json = api.MakeJson(exchange->request())] {
    const auto answer = [mailbox, exchange](Response response) {
      LoopMailbox::Post(
          mailbox, [exchange, response = std::move(response)] { exchange->Respond(response); });
    };
    AnswerOther(local, id, json, options.hash, absl::Now() + options.wait, answer);
  });
}

}  // namespace

void AnswerFromLocal(http::Api& api, const AgentApi& agent,
                     const std::shared_ptr<Exchange>& exchange,
                     std::function<Response(LocalAgent&)> work) {
  agent.local.loop().Post([&local = agent.local, mailbox = api.mailbox(), exchange,
                           work = std::move(work)] {
    LoopMailbox::Post(mailbox, [exchange, response = work(local)] { exchange->Respond(response); });
  });
}

void AddLocalRoutes(http::Api& api, const AgentApi& agent) {
  http::Router& router = api.router();
  router.Add(http::Method::kGet, "/v1/agent/services", ListRoute(api, agent, WriteServices));
  router.Add(http::Method::kGet, "/v1/agent/checks", ListRoute(api, agent, WriteChecks));
  router.Add(http::Method::kGet, "/v1/agent/service/",
             [&api, &agent](const std::shared_ptr<Exchange>& exchange, const std::string& id) {
               const auto options =
                   http::ParseReadOptions(exchange->request(), api.context().defaults);
               if (!options.ok()) return exchange->Respond(http::ErrorResponse(options.status()));
               AnswerService(api, agent, exchange, id, *options);
             });
  router.Add(http::Method::kGet, "/v1/agent/health/service/id/",
             HealthRoute(api, agent, "Missing serviceID", HealthById));
  router.Add(http::Method::kGet, "/v1/agent/health/service/name/",
             HealthRoute(api, agent, "Missing service Name", HealthByName));
}

}  // namespace pharos::agent
