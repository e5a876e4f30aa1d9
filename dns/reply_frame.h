// What every reply has around its records, ours or forwarded: the header, and OPT when the query
// had one (RFC 6891).
#pragma once

#include <array>
#include <cstdint>

#include "base/octets.h"
#include "dns/query.h"
#include "dns/types.h"

namespace pharos::dns {

// What the reply's OPT record takes: 0 when the query had none.
size_t OptOctets(const Query& query);

// Writes OPT, if the query had one: DO copied, the upper bits of `rcode`, a client subnet with
// scope 0.
void WriteOpt(const Query& query, Rcode rcode, ByteWriter& writer);

// Fills the header at the start of what is written: id, opcode, RD and CD from the query, QR, the
// other `flags`, and the counts of records in answer, authority and additional without OPT.
void WriteHeader(const Query& query, Rcode rcode, uint16_t flags,
                 const std::array<uint16_t, 3>& counts, ByteWriter& writer);

}  // namespace pharos::dns
