// RDATA of received records, with the names inside spelled out.
#pragma once

#include <cstdint>
#include <vector>

#include "base/octets.h"
#include "dns/types.h"

namespace pharos::dns {

// Types we need numbers of, beside those of types.h, for the names they hold.
inline constexpr RrType kTypeDname = RrType{39};
inline constexpr RrType kTypeRrsig = RrType{46};

// Where the names are in RDATA of a type: after some octets that are no name, one name or two, and
// then octets to the end. `names` is 0 for types whose RDATA is opaque to us (RFC 3597 section 3).
struct RdataShape {
  uint8_t octets_before = 0;
  uint8_t names = 0;
  // Character strings (RFC 1035 section 3.3) between the octets and the names.
  uint8_t strings_before = 0;
};
// For every type whose names may be compressed in messages (RFC 3597 section 4), and DNAME.
RdataShape RdataShapeOf(RrType type);

// Reads RDATA of `rdata_octets` at `offset` of `message` into `rdata`, uncompressed. False if it
// does not end where it should, or (class IN) an address has not its length.
bool ReadRdata(Octets message, size_t offset, size_t rdata_octets, RrType type, RrClass rr_class,
               std::vector<uint8_t>& rdata);

}  // namespace pharos::dns
