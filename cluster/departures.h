// Servers that left the pool of their datacenter, and are silent: the leader takes them out of the
// cluster. An orderly departure does that itself; here it is made up for where a server did not
// live to see it through, or an operator declared it for one that failed. Autopilot would do the
// same, later.
#pragma once

#include <set>
#include <string>

#include "cluster/consensus.h"

namespace pharos::cluster {

// By node id. Whoever does not lead does nothing; one server is removed at a time, so call it
// again. From any thread.
void RemoveDeparted(Consensus& consensus, std::set<std::string> node_ids);

}  // namespace pharos::cluster
