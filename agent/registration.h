// What this node puts into the catalog: itself, and the services and checks of its configuration.
#pragma once

#include <string>
#include <vector>

#include "agent/config/config.h"
#include "proto/catalog.pb.h"

namespace pharos::agent {

// The whole registration of this node. Servers also register the service `consul`, which the zone's
// name servers are taken from. A check is registered when its definition says a status: without one
// it would have to be run first, so it does not count; the ids of those go to `checks_not_run`.
catalog::v1::Register MakeRegistration(const Config& config, const std::string& node_id,
                                       std::vector<std::string>& checks_not_run);

// One command that turns what was registered into what is to be, seen by readers at once: what is
// gone is removed, the rest registered anew.
catalog::v1::Command MakeUpdate(const catalog::v1::Register& before,
                                const catalog::v1::Register& after);

}  // namespace pharos::agent
