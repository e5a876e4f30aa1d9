// What the catalog's and health's reads share: which nodes and instances a request is about.
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "http/api.h"
#include "http/filter/record_schemas.h"
#include "http/read_options.h"
#include "registry/snapshot.h"

namespace pharos::http {

// Whether the node has all the metadata asked for.
bool HasMeta(const registry::Node& node, const TextPairs& wanted);
// Whether the instance has all the tags asked for, without regard to case.
bool HasTags(const registry::Service& service, const std::vector<std::string>& wanted);

// All nodes that have the metadata, by name.
std::vector<const registry::NodeEntry*> NodesWith(const registry::Snapshot& snapshot,
                                                  const TextPairs& meta);
// The instances of a service that have the tags, on nodes that have the metadata, by node name and
// service id.
std::vector<const registry::Instance*> InstancesWith(const registry::Snapshot& snapshot,
                                                     const std::string& lower_service,
                                                     const ReadScope& scope);
// The same of what takes connections for the service in a mesh, and of the gateways that let it in.
std::vector<const registry::Instance*> ConnectInstancesWith(const registry::Snapshot& snapshot,
                                                            const std::string& lower_service,
                                                            const ReadScope& scope);
std::vector<const registry::Instance*> IngressInstancesWith(const registry::Snapshot& snapshot,
                                                            const std::string& lower_service,
                                                            const ReadScope& scope);
// Counts a read of a service's instances.
void CountServiceQuery(Api& api, AskedIn asked_in, const std::string& service,
                       const ReadScope& scope);
// The node of an instance with all that is on it.
const registry::NodeEntry& EntryOf(const registry::Snapshot& snapshot, const registry::Node& node);
// The checks of an instance as filters see them; the views borrow from `checks` and `instance`.
std::vector<CheckView> ViewsOf(const std::vector<const registry::HealthCheck*>& checks,
                               const registry::Instance& instance);
// The node of a name or an id; null when there is none.
const registry::NodeEntry* FindNodeByNameOrId(const registry::Snapshot& snapshot,
                                              const std::string& name_or_id);

}  // namespace pharos::http
