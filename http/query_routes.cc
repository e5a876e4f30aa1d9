// /v1/query: prepared queries, kept and executed.

#include <algorithm>
#include <limits>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "base/go_duration.h"
#include "base/ip_address.h"
#include "base/random.h"
#include "base/status_macros.h"
#include "http/api.h"
#include "http/catalog_read.h"
#include "http/errors.h"
#include "http/query_body.h"
#include "http/shapes.h"
#include "registry/prepared_query.h"
#include "registry/records.h"

namespace pharos::http {
namespace {

using registry::Instance;
using registry::Snapshot;

constexpr std::string_view kPath = "/v1/query/";
constexpr std::string_view kExecute = "/execute";
constexpr std::string_view kExplain = "/explain";

absl::Status NotFound() { return absl::NotFoundError("Query not found"); }

Reading ReadQueries() {
  return {.topics = {QueriesTopic()},
          .index = [](const Snapshot& snapshot) { return snapshot.queries_index(); },
          .write =
              [](const Snapshot& snapshot, JsonWriter& json) {
                std::map<std::string, const registry::PreparedQuery*> by_id;
                snapshot.ForEachQuery([&by_id](const registry::PreparedQuery& query) {
                  by_id.emplace(query.definition.id(), &query);
                });
                json.BeginArray();
                for (const auto& [id, query] : by_id) {
                  WriteQuery(query->definition, query->create_index, query->modify_index, json);
                }
                json.EndArray();
                return absl::OkStatus();
              }};
}

Reading ReadQuery(const std::string& id) {
  return {.topics = {QueriesTopic()},
          .index = [](const Snapshot& snapshot) { return snapshot.queries_index(); },
          .write = [id](const Snapshot& snapshot, JsonWriter& json) -> absl::Status {
            const auto* query = snapshot.FindQueryById(registry::LowerCase(id));
            if (query == nullptr) return NotFound();
            json.BeginArray();
            WriteQuery(query->definition, query->create_index, query->modify_index, json);
            json.EndArray();
            return absl::OkStatus();
          }};
}

// What one execution is told besides the query's own rules.
struct Execution {
  std::string name_or_id;
  std::string near;  // Goes before the query's own.
  std::string peer;  // Whom `_ip` means.
  size_t limit = std::numeric_limits<size_t>::max();
  bool connect = false;
  ReadStyle style;
};

// The name of the node that `near` means, in lower case; empty: none.
std::string NearNode(const Snapshot& snapshot, const std::string& near, const std::string& peer,
                     const std::string& agent_node) {
  if (near == "_agent") return agent_node;
  if (near != "_ip") return registry::LowerCase(near);
  const absl::StatusOr<SocketAddress> client = ParseSocketAddress(peer, 0);
  const auto* entry = client.ok() ? snapshot.FindAddress(client->ip) : nullptr;
  if (entry == nullptr || entry->nodes.empty()) return {};
  return registry::LowerCase(entry->nodes.front()->name);
}

// Nearest first, and at random among those that are equally near.
void Arrange(std::vector<const Instance*>& instances, const Distances& distances, Random& random) {
  for (size_t i = instances.size(); i > 1; --i) {
    std::swap(instances[i - 1], instances[random.Below(static_cast<uint32_t>(i))]);
  }
  distances.Sort(
      instances, [](const Instance* instance) -> const auto& { return *instance->node; });
}

std::string_view ConsistencyName(Consistency consistency) {
  if (consistency == Consistency::kStale) return "stale";
  return consistency == Consistency::kConsistent ? "consistent" : "leader";
}

absl::Status WriteExecution(Api& api, const Execution& execution, const Snapshot& snapshot,
                            JsonWriter& json) {
  const auto resolved = registry::ResolveQuery(snapshot, execution.name_or_id);
  if (absl::IsNotFound(resolved.status())) return NotFound();
  // The words are the server's, which come with 500.
  if (!resolved.ok()) return absl::InternalError(resolved.status().message());
  catalog::v1::PreparedQuery::Selection selection = resolved->definition().service();
  if (execution.connect) selection.set_connect(true);
  std::vector<const Instance*> instances = registry::SelectInstances(snapshot, selection);
  const std::string& near = execution.near.empty() ? selection.near() : execution.near;
  const std::string from = NearNode(snapshot, near, execution.peer, api.context().node_name);
  Arrange(instances, api.context().DistancesFrom(from), api.random());
  instances.resize(std::min(instances.size(), execution.limit));

  json.BeginObject();
  json.Field("Service", selection.service());
  json.Key("Nodes");
  json.BeginArray();
  for (const Instance* instance : instances) {
    WriteHealthEntry(EntryOf(snapshot, *instance->node), *instance->service, json);
  }
  json.EndArray();
  json.Key("DNS");
  json.BeginObject();
  json.Field("TTL", resolved->definition().dns_ttl());
  json.EndObject();
  json.Field("Datacenter", snapshot.datacenter());
  json.IntField("Failovers", 0);
  json.UintField("Index", snapshot.ServiceIndex(registry::LowerCase(selection.service())));
  json.IntField("LastContact", 0);
  json.BoolField("KnownLeader", true);
  json.Field("ConsistencyLevel", ConsistencyName(execution.style.consistency));
  json.EndObject();
  return absl::OkStatus();
}

absl::StatusOr<Reading> ReadExecution(Api& api, const Request& request, const ReadOptions& options,
                                      const std::string& name_or_id) {
  Execution execution{.name_or_id = name_or_id,
                      .near = options.near,
                      .peer = request.peer,
                      .connect = request.HasParameter("connect"),
                      .style = options};
  if (const auto limit = request.Parameter("limit"); limit && !limit->empty()) {
    uint32_t count = 0;
    if (!absl::SimpleAtoi(absl::string_view(limit->data(), limit->size()), &count)) {
      return absl::InvalidArgumentError("Bad limit");
    }
    if (count > 0) execution.limit = count;
  }
  return Reading{.topics = {},
                 .index =
                     [execution](const Snapshot& snapshot) {
                       return std::max(snapshot.queries_index(), snapshot.services_index());
                     },
                 .write =
                     [execution, &api](const Snapshot& snapshot, JsonWriter& json) {
                       return WriteExecution(api, execution, snapshot, json);
                     }};
}

Reading ReadExplanation(const std::string& name_or_id) {
  return {.topics = {},
          .index = [](const Snapshot& snapshot) { return snapshot.queries_index(); },
          .write = [name_or_id](const Snapshot& snapshot, JsonWriter& json) -> absl::Status {
            const auto resolved = registry::ResolveQuery(snapshot, name_or_id);
            if (absl::IsNotFound(resolved.status())) return NotFound();
            if (!resolved.ok()) return absl::InternalError(resolved.status().message());
            json.BeginObject();
            json.Key("Query");
            WriteQuery(resolved->definition(), resolved->query->create_index,
                       resolved->query->modify_index, json);
            json.EndObject();
            return absl::OkStatus();
          }};
}

// Takes the ending off the argument if it is there.
bool TakeEnding(std::string_view ending, std::string& argument) {
  if (!argument.ends_with(ending)) return false;
  argument.resize(argument.size() - ending.size());
  return true;
}

void AnswerGet(Api& api, const std::shared_ptr<Exchange>& exchange, std::string argument) {
  const Request& request = exchange->request();
  absl::StatusOr<ReadOptions> options = ParseReadOptions(request, api.context().defaults);
  if (!options.ok()) return exchange->Respond(ErrorResponse(options.status()));
  absl::StatusOr<Reading> reading = Reading();
  if (TakeEnding(kExecute, argument)) {
    options->index = 0;  // Never blocks.
    reading = ReadExecution(api, request, *options, argument);
  } else if (TakeEnding(kExplain, argument)) {
    options->index = 0;
    reading = ReadExplanation(argument);
  } else {
    reading = ReadQuery(argument);
  }
  if (!reading.ok()) return exchange->Respond(ErrorResponse(reading.status()));
  api.watchers().Answer(exchange, *options, *std::move(reading));
}

void Create(Api& api, const std::shared_ptr<Exchange>& exchange) {
  absl::StatusOr<catalog::v1::PreparedQuery> query = ParseQueryBody(exchange->request().body);
  if (query.ok() && !query->id().empty()) {
    query = absl::InternalError("ID must be empty when creating a new prepared query");
  }
  if (!query.ok()) return exchange->Respond(ErrorResponse(query.status()));
  const std::string id = NewUuid();
  query->set_id(id);
  catalog::v1::Command command;
  command.mutable_set_prepared_query()->set_create(true);
  *command.mutable_set_prepared_query()->mutable_query() = *std::move(query);
  JsonWriter json = api.MakeJson(exchange->request());
  json.BeginObject();
  json.Field("ID", id);
  json.EndObject();
  api.Propose(exchange, std::move(command), JsonResponse(json.Take()));
}

void Update(Api& api, const std::shared_ptr<Exchange>& exchange, const std::string& id) {
  absl::StatusOr<catalog::v1::PreparedQuery> query = ParseQueryBody(exchange->request().body);
  if (!query.ok()) return exchange->Respond(ErrorResponse(query.status()));
  query->set_id(id);  // The path says which, whatever the body says.
  catalog::v1::Command command;
  *command.mutable_set_prepared_query()->mutable_query() = *std::move(query);
  api.Propose(exchange, std::move(command), EmptyResponse(200));
}

void Delete(Api& api, const std::shared_ptr<Exchange>& exchange, const std::string& id) {
  catalog::v1::Command command;
  command.mutable_delete_prepared_query()->set_id(id);
  api.Propose(exchange, std::move(command), EmptyResponse(200));
}

}  // namespace

void AddQueryRoutes(Api& api) {
  const std::string path(kPath);
  api.AddRead("/v1/query", [](const Request&, const ReadOptions&, const std::string&) {
    return absl::StatusOr<Reading>(ReadQueries());
  });
  api.router().Add(Method::kPost, "/v1/query",
                   [&api](const auto& exchange, const std::string&) { Create(api, exchange); });
  api.router().Add(Method::kGet, path, [&api](const auto& exchange, const std::string& argument) {
    AnswerGet(api, exchange, argument);
  });
  api.router().Add(Method::kPut, path, [&api](const auto& exchange, const std::string& argument) {
    Update(api, exchange, argument);
  });
  api.router().Add(Method::kDelete, path,
                   [&api](const auto& exchange, const std::string& argument) {
                     Delete(api, exchange, argument);
                   });
}

}  // namespace pharos::http
