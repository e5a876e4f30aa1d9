// What this node puts into the catalog: itself, and what is registered at its agent.
#pragma once

#include <optional>
#include <string>

#include "agent/config/config.h"
#include "agent/local/state.h"
#include "proto/catalog.pb.h"
#include "registry/snapshot.h"

namespace pharos::agent {

// The check that says whether the cluster reaches the node; never ours to take away.
inline constexpr const char* kSerfHealth = "serfHealth";

// The node with all that is not registered by anybody else: as a server, the service `consul`,
// which the zone's name servers are taken from; and that its agent is alive.
catalog::v1::Register MakeNodeRegistration(const Config& config, const std::string& node_id);

catalog::v1::Service MakeServiceRecord(const ServiceDefinition& definition);
catalog::v1::HealthCheck MakeCheckRecord(const LocalCheck& check);

// `node`, and everything of the state.
catalog::v1::Register MakeRegistration(const catalog::v1::Register& node, const LocalState& state);

// One command that makes the catalog's entry of this node (null: there is none) what is wanted:
// what differs is registered anew, what is not wanted removed; but its serfHealth is left as it is.
// nullopt when nothing differs.
std::optional<catalog::v1::Command> MakeSync(const registry::NodeEntry* entry,
                                             const catalog::v1::Register& wanted);

}  // namespace pharos::agent
