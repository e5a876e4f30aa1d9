// The part of BuildConfig about HTTP and health checks.
#pragma once

#include "agent/config/config.h"
#include "agent/config/settings.h"

namespace pharos::agent {

void BuildHttp(const Settings& settings, Config& config);

}  // namespace pharos::agent
