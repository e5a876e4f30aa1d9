// The part of BuildConfig about watching over the DNS front end: the rate limit, bounds for each
// client, dnstap and the query log.
#pragma once

#include "agent/config/config.h"
#include "agent/config/settings.h"

namespace pharos::agent {

void BuildDnsLimits(const Settings& settings, Config& config);
void BuildQueryTaps(const Settings& settings, Config& config);

}  // namespace pharos::agent
