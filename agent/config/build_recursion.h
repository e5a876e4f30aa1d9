// The part of BuildConfig about names that are not ours: whom to ask, and who may.
#pragma once

#include "agent/config/build.h"
#include "agent/config/config.h"
#include "agent/config/settings.h"

namespace pharos::agent {

// After `config.dns.domain` and `alt_domain` are there.
void BuildRecursion(const Settings& settings, const Machine& machine, Config& config);

}  // namespace pharos::agent
