// /v1/catalog: nodes and services as they are registered, whatever their health.

#include <map>
#include <set>
#include <string>

#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "http/api.h"
#include "http/catalog_read.h"
#include "http/catalog_write.h"
#include "http/errors.h"
#include "http/filter/record_schemas.h"
#include "http/read_filter.h"
#include "http/shapes.h"
#include "registry/records.h"

namespace pharos::http {
namespace {

using registry::Snapshot;

constexpr size_t kNodeIdOctets = 36;  // A UUID in text.

absl::StatusOr<Reading> ReadNodes(Api& api, const ReadOptions& options) {
  ASSIGN_OR_RETURN(const auto filter, ParseReadFilter(options.filter, kNodeSchema));
  return Reading{.topics = {NodesTopic()},
                 .index = [](const Snapshot& snapshot) { return snapshot.nodes_index(); },
                 .write =
                     [&api, filter, near = options.near, meta = options.node_meta](
                         const Snapshot& snapshot, JsonWriter& json) {
                       std::vector<const registry::NodeEntry*> nodes = NodesWith(snapshot, meta);
                       api.context().DistancesFrom(near).Sort(
                           nodes, [](const auto* entry) -> const auto& { return *entry->node; });
                       json.BeginArray();
                       for (const registry::NodeEntry* entry : nodes) {
                         if (Fits(filter, *entry->node)) WriteNode(*entry->node, json);
                       }
                       json.EndArray();
                       return absl::OkStatus();
                     }};
}

// Every name with all tags that any of its instances has, of those that fit.
std::map<std::string, std::set<std::string>> TagsByName(
    const Snapshot& snapshot, const TextPairs& node_meta,
    const ReadFilter<CatalogServiceView>& filter) {
  std::map<std::string, std::set<std::string>> tags_by_name;
  snapshot.ForEachService([&](const registry::ServiceEntry& entry) {
    for (const auto& instance : entry.instances) {
      const CatalogServiceView view{instance->node.get(), instance->service.get()};
      if (!HasMeta(*instance->node, node_meta) || !Fits(filter, view)) continue;
      std::set<std::string>& tags = tags_by_name[instance->service->name.str()];
      tags.insert(instance->service->tags.begin(), instance->service->tags.end());
    }
  });
  return tags_by_name;
}

absl::StatusOr<Reading> ReadServices(const Request&, const ReadOptions& options,
                                     const std::string&) {
  ASSIGN_OR_RETURN(const auto filter, ParseReadFilter(options.filter, kCatalogServiceSchema));
  // What nodes are like decides only when it is asked for.
  const bool by_node = !options.node_meta.empty() || filter != nullptr;
  Reading reading;
  reading.topics = {ServicesTopic()};
  if (by_node) reading.topics.push_back(NodesTopic());
  reading.index = [by_node](const Snapshot& snapshot) {
    return by_node ? std::max(snapshot.services_index(), snapshot.nodes_index())
                   : snapshot.services_index();
  };
  reading.write = [filter, meta = options.node_meta](const Snapshot& snapshot, JsonWriter& json) {
    json.BeginObject();
    for (const auto& [name, tags] : TagsByName(snapshot, meta, filter)) {
      json.Key(name);
      json.BeginArray();
      for (const std::string& tag : tags) json.String(tag);
      json.EndArray();
    }
    json.EndObject();
    return absl::OkStatus();
  };
  return reading;
}

absl::StatusOr<Reading> ReadService(Api& api, const ReadOptions& options, const std::string& name) {
  if (name.empty()) return absl::InvalidArgumentError("Missing service name");
  ASSIGN_OR_RETURN(const auto filter, ParseReadFilter(options.filter, kCatalogServiceSchema));
  CountServiceQuery(api, AskedIn::kCatalog, name, options);
  const std::string lower_name = registry::LowerCase(name);
  return Reading{
      .topics = {ServiceTopic(lower_name)},
      .index = [lower_name](const Snapshot& snapshot) { return snapshot.ServiceIndex(lower_name); },
      .write =
          [&api, filter, lower_name, near = options.near, scope = ReadScope(options)](
              const Snapshot& snapshot, JsonWriter& json) {
            std::vector<const registry::Instance*> instances =
                InstancesWith(snapshot, lower_name, scope);
            api.context().DistancesFrom(near).Sort(
                instances, [](const auto* instance) -> const auto& { return *instance->node; });
            json.BeginArray();
            for (const auto* instance : instances) {
              const CatalogServiceView view{instance->node.get(), instance->service.get()};
              if (!Fits(filter, view)) continue;
              WriteCatalogService(*instance->node, *instance->service, json);
            }
            json.EndArray();
            return absl::OkStatus();
          }};
}

enum class ServicesAs { kMap, kList };

void WriteNodeServices(const registry::NodeEntry* entry, ServicesAs as,
                       const ReadFilter<registry::Service>& filter, JsonWriter& json) {
  if (entry == nullptr && as == ServicesAs::kMap) return json.Null();
  json.BeginObject();
  json.Key("Node");
  if (entry == nullptr) {
    json.Null();
  } else {
    WriteNode(*entry->node, json);
  }
  json.Key("Services");
  if (entry == nullptr) {
    json.Null();
    return json.EndObject();
  }
  as == ServicesAs::kMap ? json.BeginObject() : json.BeginArray();
  for (const auto& service : entry->services) {
    if (!Fits(filter, *service)) continue;
    if (as == ServicesAs::kMap) json.Key(service->id);
    WriteService(*service, json);
  }
  as == ServicesAs::kMap ? json.EndObject() : json.EndArray();
  json.EndObject();
}

Api::MakeReading ReadNode(ServicesAs as) {
  return [as](const Request&, const ReadOptions& options,
              const std::string& name) -> absl::StatusOr<Reading> {
    if (name.empty()) return absl::InvalidArgumentError("Missing node name");
    ASSIGN_OR_RETURN(const auto filter, ParseReadFilter(options.filter, kServiceSchema));
    std::vector<std::string> topics = {NodeTopic(registry::LowerCase(name)), NodesTopic()};
    // What is on a node is told by its name only; of an ID, that of any is waited for.
    if (name.size() == kNodeIdOctets) {
      topics.push_back(ServicesTopic());
      topics.push_back(ChecksTopic());
    }
    return Reading{.topics = std::move(topics),
                   .index =
                       [name](const Snapshot& snapshot) {
                         const registry::NodeEntry* entry = FindNodeByNameOrId(snapshot, name);
                         return entry == nullptr ? snapshot.nodes_index() : entry->modify_index;
                       },
                   .write =
                       [filter, name, as](const Snapshot& snapshot, JsonWriter& json) {
                         WriteNodeServices(FindNodeByNameOrId(snapshot, name), as, filter, json);
                         return absl::OkStatus();
                       }};
  };
}

void ListDatacenters(const Api& api, Exchange& exchange) {
  JsonWriter json = api.MakeJson(exchange.request());
  json.BeginArray();
  if (api.context().datacenters) {
    for (const std::string& name : api.context().datacenters()) json.String(name);
  } else {
    json.String(api.context().defaults.datacenter);
  }
  json.EndArray();
  exchange.Respond(JsonResponse(json.Take()));
}

// A write whose body `parse` turns into a command.
template <typename Parse>
Router::Handler WriteRoute(Api& api, Parse parse) {
  return [&api, parse](const std::shared_ptr<Exchange>& exchange, const std::string&) {
    absl::StatusOr<catalog::v1::Command> command =
        parse(exchange->request().body, api.context().defaults.datacenter);
    if (!command.ok()) return exchange->Respond(ErrorResponse(command.status()));
    api.Propose(exchange, *std::move(command), JsonResponse("true"));
  };
}

}  // namespace

void AddCatalogRoutes(Api& api) {
  api.AddRead("/v1/catalog/nodes", [&api](const Request&, const ReadOptions& options,
                                          const std::string&) { return ReadNodes(api, options); });
  api.AddRead("/v1/catalog/services", ReadServices);
  api.AddRead("/v1/catalog/service/",
              [&api](const Request&, const ReadOptions& options, const std::string& name) {
                return ReadService(api, options, name);
              });
  api.AddRead("/v1/catalog/node/", ReadNode(ServicesAs::kMap));
  api.AddRead("/v1/catalog/node-services/", ReadNode(ServicesAs::kList));
  api.router().Add(Method::kGet, "/v1/catalog/datacenters",
                   [&api](const std::shared_ptr<Exchange>& exchange, const std::string&) {
                     ListDatacenters(api, *exchange);
                   });
  api.router().Add(Method::kPut, "/v1/catalog/register", WriteRoute(api, ParseCatalogRegister));
  api.router().Add(Method::kPut, "/v1/catalog/deregister", WriteRoute(api, ParseCatalogDeregister));
}

}  // namespace pharos::http
