#include "dns/client_subnet.h"

namespace pharos::dns {
namespace {

constexpr size_t kFixedOctets = 4;

// Bits of an address of the family (IANA "Address Family Numbers"); 0 for those we do not know.
// Family 0 without an address says "tell nobody about me".
size_t AddressBits(uint16_t family) {
  if (family == 1) return 32;
  if (family == 2) return 128;
  return 0;
}

}  // namespace

bool IsClientSubnet(Octets data) {
  if (data.size() < kFixedOctets || data.size() > kClientSubnetOctetsMax) return false;
  const uint16_t family = LoadU16(data.data());
  const size_t source_bits = data[2];
  if (family > 2 || source_bits > AddressBits(family)) return false;
  if (data.size() - kFixedOctets != (source_bits + 7) / 8) return false;
  const size_t last_bits = source_bits % 8;
  return last_bits == 0 || (data.back() & (0xff >> last_bits)) == 0;
}

}  // namespace pharos::dns
