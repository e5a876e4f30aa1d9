// SipHash-2-4 (Aumasson and Bernstein 2012): a short keyed hash for short messages, whose results
// nobody can foretell without the key.
#pragma once

#include <array>
#include <cstdint>

#include "base/octets.h"

namespace pharos {

using SipHashKey = std::array<uint8_t, 16>;

// The hash as a number; on a wire its octets go in little-endian order.
uint64_t SipHash24(const SipHashKey& key, Octets message);

}  // namespace pharos
