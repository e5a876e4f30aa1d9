// /v1/operator: how much there is.

#include <algorithm>

#include "http/api.h"

namespace pharos::http {
namespace {

using registry::Snapshot;

constexpr std::string_view kServerService = "consul";

// Anything may change what is counted.
uint64_t UsageIndex(const Snapshot& snapshot) {
  return std::max({snapshot.nodes_index(), snapshot.services_index(), uint64_t{1}});
}

void WriteUsage(const std::string& datacenter, const Snapshot& snapshot, JsonWriter& json) {
  uint64_t instances = 0, of_servers = 0;
  snapshot.ForEachService([&](const registry::ServiceEntry& service) {
    instances += service.instances.size();
    for (const auto& instance : service.instances) {
      of_servers += instance->service->name == kServerService ? 1 : 0;
    }
  });
  json.BeginObject();
  json.Key("Usage");
  json.BeginObject();
  json.Key(datacenter);
  json.BeginObject();
  json.UintField("Nodes", snapshot.node_count());
  json.UintField("Services", snapshot.service_count());
  json.UintField("ServiceInstances", instances);
  json.RawField("ConnectServiceInstances", "{}");  // There is no mesh.
  json.UintField("BillableServiceInstances", instances - of_servers);
  json.EndObject();
  json.EndObject();
  json.UintField("Index", UsageIndex(snapshot));
  json.IntField("LastContact", 0);
  json.BoolField("KnownLeader", true);
  json.EndObject();
}

}  // namespace

void AddOperatorRoutes(Api& api) {
  api.AddRead("/v1/operator/usage", [&api](const Request&, const ReadOptions&, const std::string&) {
    return Reading{.topics = {NodesTopic(), ServicesTopic()},
                   .index = UsageIndex,
                   .write = [&api](const Snapshot& snapshot, JsonWriter& json) {
                     WriteUsage(api.context().defaults.datacenter, snapshot, json);
                     return absl::OkStatus();
                   }};
  });
}

}  // namespace pharos::http
