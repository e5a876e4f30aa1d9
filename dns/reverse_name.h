// Names under arpa that stand for IP addresses and networks.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/ip_address.h"
#include "dns/name.h"
#include "registry/snapshot.h"

namespace pharos::dns {

// What a reverse name spells (RFC 1035 section 3.5, RFC 3596 section 2.5).
struct ReverseName {
  enum Kind : uint8_t {
    kAddress,
    kPart,       // Above addresses: the name of a network, or the reverse domain itself.
    kMalformed,  // Below a reverse domain, but nothing an address could spell.
    kOther,      // Elsewhere.
  } kind = kOther;
  // The address, or (kPart) the network's first address and how many bits of it are spelled.
  IpAddress address;
  size_t prefix_bits = 0;
  // How many labels, from the right, name a network: the reverse domain, then at most the 24 bits
  // (IPv4) or 64 bits (IPv6) that the smallest usual zone has. 0 for kOther.
  size_t network_labels = 0;
};

ReverseName ReadReverseName(const Name& qname);

// Whether the name is above that of an address in the catalog, so that it exists whatever others
// say (RFC 8020 section 2). Never false for one that is, but may be true for a network so near to
// one that is that nobody is told anything wrong by NODATA.
bool IsAboveRegistered(const Name& qname, const registry::Snapshot& snapshot);

}  // namespace pharos::dns
