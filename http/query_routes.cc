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
#include "cluster/remote_catalog.h"
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
  if (!client.ok()) return {};
  const auto nodes = snapshot.FindAddress(client->ip).nodes;
  return nodes.empty() ? std::string() : registry::LowerCase(nodes.front()->name);
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

// `snapshot` has the query, `from` the instances that it chooses from: of this datacenter, or of
// the one that is asked after so many others had none.
absl::Status WriteExecution(Api& api, const Execution& execution, const Snapshot& snapshot,
                            const Snapshot& from, int failovers, JsonWriter& json) {
  const auto resolved = registry::ResolveQuery(snapshot, execution.name_or_id);
  if (absl::IsNotFound(resolved.status())) return NotFound();
  // The words are the server's, which come with 500.
  if (!resolved.ok()) return absl::InternalError(resolved.status().message());
  catalog::v1::PreparedQuery::Selection selection = resolved->definition().service();
  if (execution.connect) selection.set_connect(true);
  std::vector<const Instance*> instances = registry::SelectInstances(from, selection);
  const std::string& near = execution.near.empty() ? selection.near() : execution.near;
  const std::string near_node = NearNode(from, near, execution.peer, api.context().node_name);
  Arrange(instances, api.context().DistancesFrom(near_node), api.random());
  instances.resize(std::min(instances.size(), execution.limit));

  json.BeginObject();
  json.Field("Service", selection.service());
  json.Key("Nodes");
  json.BeginArray();
  for (const Instance* instance : instances) {
    WriteHealthEntry(EntryOf(from, *instance->node), *instance->service, json);
  }
  json.EndArray();
  json.Key("DNS");
  json.BeginObject();
  json.Field("TTL", resolved->definition().dns_ttl());
  json.EndObject();
  json.Field("Datacenter", from.datacenter());
  json.IntField("Failovers", failovers);
  json.UintField("Index", from.ServiceIndex(registry::LowerCase(selection.service())));
  json.IntField("LastContact", 0);
  json.BoolField("KnownLeader", true);
  json.Field("ConsistencyLevel", ConsistencyName(execution.style.consistency));
  json.EndObject();
  return absl::OkStatus();
}

absl::StatusOr<Execution> MakeExecution(const Request& request, const ReadOptions& options,
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
  return execution;
}

absl::StatusOr<Reading> ReadExecution(Api& api, const Request& request, const ReadOptions& options,
                                      const std::string& name_or_id) {
  ASSIGN_OR_RETURN(const Execution execution, MakeExecution(request, options, name_or_id));
  return Reading{.topics = {},
                 .index =
                     [execution](const Snapshot& snapshot) {
                       return std::max(snapshot.queries_index(), snapshot.services_index());
                     },
                 .write =
                     [execution, &api](const Snapshot& snapshot, JsonWriter& json) {
                       return WriteExecution(api, execution, snapshot, snapshot, 0, json);
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

// An execution that finds nothing here, as it asks one datacenter after the other.
struct FailOver {
  std::shared_ptr<Exchange> exchange;
  ReadOptions options;
  Reading reading;  // What is answered when nobody has anything.
  Execution execution;
  std::string part;
  catalog::v1::PreparedQuery::Selection selection;
  std::vector<std::string> order;  // Of datacenters.
  size_t at = 0;
};

// Asks the next one. On the API's thread.
void AskNext(Api& api, const std::shared_ptr<FailOver>& job) {
  if (job->at == job->order.size()) {
    return api.watchers().Answer(job->exchange, job->options, job->reading);
  }
  const std::string datacenter = job->order[job->at++];
  cluster::RemoteCatalog& remote = *api.context().remote;
  remote.Want(
      datacenter, job->part,
      [&api, &remote, job, datacenter, mailbox = api.mailbox()](const absl::Status& there) {
        LoopMailbox::Post(mailbox, [&api, &remote, job, datacenter, ok = there.ok()] {
          const Published<registry::RemoteCatalogs>::ReadGuard catalogs(remote.published());
          const auto* const known = catalogs->Find(datacenter);
          const bool has_any = ok && known != nullptr && known->snapshot != nullptr &&
                               known->freshness != registry::Freshness::kExpired &&
                               !registry::SelectInstances(*known->snapshot, job->selection).empty();
          if (!has_any) return AskNext(api, job);
          JsonWriter json = api.MakeJson(job->exchange->request());
          absl::Status written;
          {
            const Published<Snapshot>::ReadGuard snapshot(api.context().consensus.published());
            written = WriteExecution(api, job->execution, *snapshot, *known->snapshot,
                                     static_cast<int>(job->at), json);
          }
          if (!written.ok()) return job->exchange->Respond(ErrorResponse(written));
          Response response = JsonResponse(json.Take());
          response.headers.emplace_back("X-Consul-Index", "1");
          response.headers.emplace_back("X-Consul-Knownleader", "true");
          response.headers.emplace_back("X-Consul-Lastcontact", "0");
          job->exchange->Respond(std::move(response));
        });
      });
}

// Nothing: the query has instances here, or no other datacenter is to be asked.
std::shared_ptr<FailOver> MakeFailOver(Api& api, const std::string& name_or_id, bool connect) {
  if (api.context().remote == nullptr) return nullptr;
  const Published<Snapshot>::ReadGuard snapshot(api.context().consensus.published());
  const auto resolved = registry::ResolveQuery(*snapshot, name_or_id);
  if (!resolved.ok()) return nullptr;
  auto job = std::make_shared<FailOver>();
  job->selection = resolved->definition().service();
  if (connect) job->selection.set_connect(true);
  const auto& rules = job->selection.failover();
  if (rules.nearest_n() == 0 && rules.datacenters_size() == 0) return nullptr;
  if (!registry::SelectInstances(*snapshot, job->selection).empty()) return nullptr;
  const std::vector<std::string> known = api.context().remote->paths().Datacenters();
  const std::string& own = api.context().defaults.datacenter;
  for (const std::string& name : known) {
    if (name == own) continue;
    if (static_cast<int>(job->order.size()) >= rules.nearest_n()) break;
    job->order.push_back(name);
  }
  // Those that nobody knows are passed over, and do not count.
  const auto has = [](const std::vector<std::string>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  for (const std::string& name : rules.datacenters()) {
    if (name != own && has(known, name) && !has(job->order, name)) job->order.push_back(name);
  }
  const std::string service = registry::LowerCase(job->selection.service());
  job->part =
      job->selection.connect() ? registry::ConnectPart(service) : registry::ServicePart(service);
  return job;
}

void Get(Api& api, const std::shared_ptr<Exchange>& exchange, ReadOptions options,
         std::string argument) {
  const Request& request = exchange->request();
  absl::StatusOr<Reading> reading = Reading();
  if (TakeEnding(kExecute, argument)) {
    options.index = 0;  // Never blocks.
    reading = ReadExecution(api, request, options, argument);
    if (reading.ok()) {
      const std::shared_ptr<FailOver> job =
          MakeFailOver(api, argument, request.HasParameter("connect"));
      if (job != nullptr) {
        job->exchange = exchange;
        job->options = options;
        job->reading = *std::move(reading);
        job->execution = *MakeExecution(request, options, argument);
        return AskNext(api, job);
      }
    }
  } else if (TakeEnding(kExplain, argument)) {
    options.index = 0;
    reading = ReadExplanation(argument);
  } else {
    reading = ReadQuery(argument);
  }
  if (!reading.ok()) return exchange->Respond(ErrorResponse(reading.status()));
  api.watchers().Answer(exchange, options, *std::move(reading));
}

// Which datacenters a query is for is read from the catalog too, so only once it is new enough.
void AnswerGet(Api& api, const std::shared_ptr<Exchange>& exchange, const std::string& argument) {
  const absl::StatusOr<ReadOptions> options =
      ParseReadOptions(exchange->request(), api.context().defaults);
  if (!options.ok()) return exchange->Respond(ErrorResponse(options.status()));
  api.WhenReadable(exchange, *options, [&api, exchange, options = *options, argument] {
    Get(api, exchange, options, argument);
  });
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
