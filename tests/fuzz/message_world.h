// What the names outside our zones resolve to while whole queries are tried.
#pragma once

#include <cstdint>

#include "dns/resolver.h"

namespace pharos::fuzz {

// The answer to a question, always the same one. `world` is which of several worlds it is.
dns::UpstreamAnswer AskWorld(const dns::UpstreamQuestion& question, uint8_t world);

}  // namespace pharos::fuzz
