// How far what is published may be believed.
#pragma once

#include <atomic>
#include <cstdint>

namespace pharos::registry {

enum class Freshness : uint8_t {
  kAbsent,   // Nothing is known yet: that something is not there means nothing.
  kFresh,    // As new as it gets.
  kStale,    // Nobody is there to say what has changed since.
  kExpired,  // So for longer than it may be served.
};

// One thread writes, any may read; nothing else is ordered by it.
using SharedFreshness = std::atomic<Freshness>;

}  // namespace pharos::registry
