// From the configuration to what the servers' cluster is run by.
#pragma once

#include <optional>
#include <string>

#include "agent/config/config.h"
#include "cluster/consensus.h"
#include "cluster/gossip/serf.h"
#include "cluster/remote_catalog.h"
#include "cluster/replica.h"

namespace pharos::agent {

// Whether the agent is no server and follows the catalog of those that are.
bool IsClient(const Config& config);
// Whether it is one that keeps only the parts of the catalog that it is asked for.
bool IsOnDemand(const Config& config);

// An agent in development mode is a cluster of its own in memory.
cluster::ConsensusOptions MakeConsensusOptions(const Config& config, const std::string& node_id);

cluster::ReplicaOptions MakeReplicaOptions(const Config& config);

cluster::RemoteCatalogOptions MakeRemoteOptions(const Config& config);

// Where a member of the pool takes the calls of other agents, IP:PORT; nullopt: it is no server.
std::optional<std::string> ServerAddressOf(const gossip::Member& member);

// Where a server of `retry_join` is asked for others: as given, but without a port, or with that of
// gossip, at our own port for servers. IPv6 addresses may be in brackets or not.
std::string JoinAddress(const std::string& given, const Ports& ports);

}  // namespace pharos::agent
