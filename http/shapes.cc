#include "http/shapes.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "registry/records.h"

namespace pharos::http {
namespace {

using registry::HealthCheck;
using registry::Node;
using registry::NodeEntry;
using registry::Ref;
using registry::Service;

bool SameName(std::string_view a, std::string_view b) {
  return absl::EqualsIgnoreCase(absl::string_view(a.data(), a.size()),
                                absl::string_view(b.data(), b.size()));
}

void WriteWeights(std::string_view key, const Service& service, JsonWriter& json) {
  json.Key(key);
  json.BeginObject();
  json.IntField("Passing", service.weight_passing);
  json.IntField("Warning", service.weight_warning);
  json.EndObject();
}

// The members of a service mesh that clients expect, and of which we know little.
void WriteMesh(std::string_view proxy_key, std::string_view connect_key, const Service& service,
               JsonWriter& json) {
  json.Key(proxy_key);
  json.BeginObject();
  if (!service.details->proxy_destination.empty()) {
    json.Field("DestinationServiceName", service.details->proxy_destination);
  }
  for (const char* key : {"MeshGateway", "Expose"}) {
    json.Key(key);
    json.BeginObject();
    json.EndObject();
  }
  json.EndObject();
  json.Key(connect_key);
  json.BeginObject();
  if (service.connect_native) json.BoolField("Native", true);
  json.EndObject();
}

void WriteLocality(std::string_view key, const registry::Locality& locality, JsonWriter& json) {
  if (locality.empty()) return;
  json.Key(key);
  json.BeginObject();
  json.Field("Region", locality.region);
  json.Field("Zone", locality.zone);
  json.EndObject();
}

void WriteIndexes(uint64_t create_index, uint64_t modify_index, JsonWriter& json) {
  json.UintField("CreateIndex", create_index);
  json.UintField("ModifyIndex", modify_index);
}

}  // namespace

std::string_view HealthName(registry::Health health) {
  switch (health) {
    case registry::Health::kPassing:
      return "passing";
    case registry::Health::kWarning:
      return "warning";
    case registry::Health::kCritical:
      break;
  }
  return "critical";
}

void WriteStrings(const std::vector<std::string>& list, JsonWriter& json) {
  json.BeginArray();
  for (const std::string& element : list) json.String(element);
  json.EndArray();
}

void WritePairs(const registry::StringPairs& pairs, Nothing nothing, JsonWriter& json) {
  if (pairs.empty() && nothing == Nothing::kNull) return json.Null();
  json.BeginObject();
  for (const auto& [key, value] : pairs) json.Field(key, value);
  json.EndObject();
}

void WriteTaggedAddresses(const std::vector<registry::TaggedAddress>& addresses, JsonWriter& json) {
  json.BeginObject();
  for (const registry::TaggedAddress& tagged : addresses) {
    json.Key(tagged.name);
    json.BeginObject();
    json.Field("Address", tagged.address);
    json.IntField("Port", tagged.port);
    json.EndObject();
  }
  json.EndObject();
}

void WriteMeshIfAny(const Service& service, JsonWriter& json) {
  if (!service.details->proxy_destination.empty()) {
    json.Key("Proxy");
    json.BeginObject();
    json.Field("DestinationServiceName", service.details->proxy_destination);
    json.EndObject();
  }
  if (service.connect_native) {
    json.Key("Connect");
    json.BeginObject();
    json.BoolField("Native", true);
    json.EndObject();
  }
  WriteLocality("Locality", service.details->locality, json);
}

void WriteNode(const Node& node, JsonWriter& json) {
  json.BeginObject();
  json.Field("ID", node.id);
  json.Field("Node", node.name);
  json.Field("Address", node.address);
  json.Field("Datacenter", node.datacenter);
  json.Key("TaggedAddresses");
  WritePairs(node.tagged_addresses, Nothing::kNull, json);
  json.Key("Meta");
  WritePairs(node.meta, Nothing::kNull, json);
  WriteLocality("Locality", node.locality, json);
  WriteIndexes(node.create_index, node.modify_index, json);
  json.EndObject();
}

void WriteService(const Service& service, JsonWriter& json) {
  json.BeginObject();
  if (!service.details->kind.empty()) json.Field("Kind", service.details->kind);
  json.Field("ID", service.id);
  json.Field("Service", service.name);
  json.Key("Tags");
  WriteStrings(service.tags, json);
  json.Field("Address", service.address);
  if (!service.details->tagged_addresses.empty()) {
    json.Key("TaggedAddresses");
    WriteTaggedAddresses(service.details->tagged_addresses, json);
  }
  json.Key("Meta");
  WritePairs(service.meta, Nothing::kNull, json);
  json.IntField("Port", service.port);
  if (!service.details->socket_path.empty()) json.Field("SocketPath", service.details->socket_path);
  WriteWeights("Weights", service, json);
  json.BoolField("EnableTagOverride", service.enable_tag_override);
  WriteMesh("Proxy", "Connect", service, json);
  WriteLocality("Locality", service.details->locality, json);
  WriteIndexes(service.create_index, service.modify_index, json);
  json.EndObject();
}

void WriteCatalogService(const Node& node, const Service& service, JsonWriter& json) {
  json.BeginObject();
  json.Field("ID", node.id);
  json.Field("Node", node.name);
  json.Field("Address", node.address);
  json.Field("Datacenter", node.datacenter);
  json.Key("TaggedAddresses");
  WritePairs(node.tagged_addresses, Nothing::kNull, json);
  json.Key("NodeMeta");
  WritePairs(node.meta, Nothing::kNull, json);
  json.Field("ServiceKind", service.details->kind);
  json.Field("ServiceID", service.id);
  json.Field("ServiceName", service.name);
  json.Key("ServiceTags");
  WriteStrings(service.tags, json);
  json.Field("ServiceAddress", service.address);
  if (!service.details->tagged_addresses.empty()) {
    json.Key("ServiceTaggedAddresses");
    WriteTaggedAddresses(service.details->tagged_addresses, json);
  }
  WriteWeights("ServiceWeights", service, json);
  json.Key("ServiceMeta");
  WritePairs(service.meta, Nothing::kEmpty, json);
  json.IntField("ServicePort", service.port);
  if (!service.details->socket_path.empty())
    json.Field("ServiceSocketPath", service.details->socket_path);
  json.BoolField("ServiceEnableTagOverride", service.enable_tag_override);
  WriteMesh("ServiceProxy", "ServiceConnect", service, json);
  WriteLocality("ServiceLocality", service.details->locality, json);
  WriteIndexes(service.create_index, service.modify_index, json);
  json.EndObject();
}

void WriteCheck(const HealthCheck& check, std::string_view node,
                const std::vector<std::string>& tags, JsonWriter& json) {
  json.BeginObject();
  json.Field("Node", node);
  json.Field("CheckID", check.id);
  json.Field("Name", check.name);
  json.Field("Status", HealthName(check.status));
  json.Field("Notes", check.notes);
  json.Field("Output", check.output);
  json.Field("ServiceID", check.service_id);
  json.Field("ServiceName", check.service_name);
  json.Key("ServiceTags");
  WriteStrings(tags, json);
  json.Field("Type", check.type);
  json.Field("Interval", check.interval);
  json.Field("Timeout", check.timeout);
  json.RawField("Definition", check.definition.empty() ? "{}" : check.definition);
  WriteIndexes(check.create_index, check.modify_index, json);
  json.EndObject();
}

std::vector<const HealthCheck*> ChecksOf(const NodeEntry& node, const Service& service) {
  std::vector<const HealthCheck*> checks;
  for (const Ref<const HealthCheck>& check : node.checks) {
    if (check->service_id.empty()) checks.push_back(check.get());
  }
  for (const Ref<const HealthCheck>& check : node.checks) {
    if (!check->service_id.empty() && SameName(check->service_id, service.id)) {
      checks.push_back(check.get());
    }
  }
  return checks;
}

void WriteHealthEntry(const NodeEntry& node, const Service& service, JsonWriter& json) {
  static const std::vector<std::string> kNoTags;
  json.BeginObject();
  json.Key("Node");
  WriteNode(*node.node, json);
  json.Key("Service");
  WriteService(service, json);
  json.Key("Checks");
  json.BeginArray();
  for (const HealthCheck* check : ChecksOf(node, service)) {
    WriteCheck(*check, node.node->name, check->service_id.empty() ? kNoTags : service.tags.get(),
               json);
  }
  json.EndArray();
  json.EndObject();
}

}  // namespace pharos::http
