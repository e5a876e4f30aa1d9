// The client subnet option of EDNS (RFC 7871): whom a resolver asks for. It is repeated in the
// reply with its scope: how many of the address's bits the answer depends on.
#pragma once

#include "base/octets.h"

namespace pharos::dns {

// Family, two prefix lengths, at most 16 octets of address.
inline constexpr size_t kClientSubnetOctetsMax = 20;

// Whether the option's data is well formed as section 6 asks: a family we know, no longer a prefix
// than its addresses have bits, as many octets as the prefix needs, and no bit set beyond it. Else
// the query is malformed (section 7.1.2), which also means that no query chooses how long our reply
// gets.
bool IsClientSubnet(Octets data);

}  // namespace pharos::dns
