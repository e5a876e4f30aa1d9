// What a change of the catalog may concern, as texts that those who wait for changes subscribe to.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "registry/changes.h"

namespace pharos::cluster {

// All nodes, services or checks, or one node or service by its name in lower case.
std::string NodesTopic();
std::string ServicesTopic();
std::string ChecksTopic();
std::string NodeTopic(std::string_view lower_name);
std::string ServiceTopic(std::string_view lower_name);
// The mesh of a service, all prepared queries, all ingress gateways.
std::string ConnectTopic(std::string_view lower_name);
std::string QueriesTopic();
std::string IngressTopic();

// All that a publication concerns.
std::set<std::string> TopicsOf(const registry::Changes& changes);

}  // namespace pharos::cluster
