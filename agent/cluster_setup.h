// From the configuration to what the servers' cluster is run by.
#pragma once

#include <string>

#include "agent/config/config.h"
#include "cluster/consensus.h"

namespace pharos::agent {

// An agent that is no server, and one in development mode, is a cluster of its own in memory.
cluster::ConsensusOptions MakeConsensusOptions(const Config& config, const std::string& node_id);

// Where a server of `retry_join` is asked for others: as given, but without a port, or with that of
// gossip, at our own port for servers. IPv6 addresses may be in brackets or not.
std::string JoinAddress(const std::string& given, const Ports& ports);

}  // namespace pharos::agent
