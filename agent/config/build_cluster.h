// The part of BuildConfig about the servers' cluster: Raft, joining, autopilot.
#pragma once

#include "agent/config/config.h"
#include "agent/config/settings.h"

namespace pharos::agent {

void BuildCluster(const Settings& settings, Config& config);

}  // namespace pharos::agent
