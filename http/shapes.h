// The JSON shapes of the catalog's records as Consul's clients read them: which members there are,
// in which order, and where nothing is null, [] or {}.
#pragma once

#include <string_view>
#include <vector>

#include "base/json_writer.h"
#include "registry/snapshot.h"

namespace pharos::http {

// passing, warning, critical.
std::string_view HealthName(registry::Health health);

// Values the same shape has different names for, or none.
enum class Nothing { kNull, kEmpty };
void WriteStrings(const std::vector<std::string>& list, JsonWriter& json);
void WritePairs(const registry::StringPairs& pairs, Nothing nothing, JsonWriter& json);
// {"lan_ipv4": {"Address": "10.0.0.1", "Port": 80}, ...}
// `Proxy`, `Connect` and `Locality`, each where the service has it.
void WriteMeshIfAny(const registry::Service& service, JsonWriter& json);
void WriteTaggedAddresses(const std::vector<registry::TaggedAddress>& addresses, JsonWriter& json);

void WriteNode(const registry::Node& node, JsonWriter& json);
// As in catalog/node and health/service.
void WriteService(const registry::Service& service, JsonWriter& json);
// As in catalog/service: one object of the node and the instance.
void WriteCatalogService(const registry::Node& node, const registry::Service& service,
                         JsonWriter& json);
// `tags` are those of the check's service, none for a check of a node.
void WriteCheck(const registry::HealthCheck& check, std::string_view node,
                const std::vector<std::string>& tags, JsonWriter& json);

// The checks that count for an instance: its node's own first, by id, then its own.
std::vector<const registry::HealthCheck*> ChecksOf(const registry::NodeEntry& node,
                                                   const registry::Service& service);
// {"Node": ..., "Service": ..., "Checks": [...]}
void WriteHealthEntry(const registry::NodeEntry& node, const registry::Service& service,
                      JsonWriter& json);

}  // namespace pharos::http
