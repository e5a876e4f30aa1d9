// Networks as keys of a table.
#pragma once

#include <cstddef>
#include <string>

#include "base/ip_address.h"

namespace pharos::registry {

// How far apart the lengths of the prefixes are that addresses are counted by.
inline size_t NetworkStepBits(const IpAddress& address) { return address.is_v4() ? 8 : 16; }

// `prefix_bits` is a multiple of the step. Short enough to need no memory of its own.
inline std::string NetworkKey(const IpAddress& address, size_t prefix_bits) {
  std::string key(1, address.is_v4() ? '4' : '6');
  return key.append(AsText(address.octets().first(prefix_bits / 8)));
}

}  // namespace pharos::registry
