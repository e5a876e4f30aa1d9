// The part of BuildConfig about gossip: its pools, and their encryption.
#pragma once

#include "agent/config/build.h"
#include "agent/config/config.h"
#include "agent/config/settings.h"

namespace pharos::agent {

// After BuildNetwork, whose bind address is the default.
void BuildGossip(const Settings& settings, const Machine& machine, Config& config);

}  // namespace pharos::agent
