// The part of BuildConfig about what the DNS server says in EDNS options: cookies and NSID.
#pragma once

#include "agent/config/config.h"
#include "agent/config/settings.h"

namespace pharos::agent {

// After node_name is known.
void BuildEdns(const Settings& settings, Config& config);

}  // namespace pharos::agent
