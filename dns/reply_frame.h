// What every reply has around its records, ours or forwarded: the header, and OPT when the query
// had one (RFC 6891).
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/octets.h"
#include "dns/extended_error.h"
#include "dns/query.h"
#include "dns/types.h"

namespace pharos::dns {

// A configured name for NSID is at most so long, so that OPT fits every reply with its question.
inline constexpr size_t kNsidOctetsMax = 128;

// An OPT record without options.
inline constexpr size_t kOptBaseOctets = 11;
// Writes one that says what we take over UDP; returns its end.
uint8_t* WriteBareOpt(bool dnssec_ok, uint8_t* at);

// The OPT record of one reply. The query is borrowed.
class ReplyOpt {
 public:
  explicit ReplyOpt(const Query& query);

  // What the record takes, to be kept free for it; 0 when the query had none.
  size_t octets() const { return octets_; }

  // Says why the answer is as it is (RFC 8914); the first one counts. What does not fit in the end,
  // the text or all of it, is left out, so this is best called before records are written.
  void SetError(const ExtendedError& error);
  // How many bits of the client subnet the answer depends on (RFC 7871 section 7.2.1). 0 unless
  // told: the answer is good for every client.
  void SetSubnetScope(uint8_t scope_bits) { subnet_scope_bits_ = scope_bits; }

  // Writes the record, if there is one: DO copied, the upper bits of `rcode`, the options.
  void Write(Rcode rcode, ByteWriter& writer) const;

 private:
  void WriteSubnet(ByteWriter& writer) const;
  void WriteError(ByteWriter& writer) const;

  const Query& query_;
  size_t octets_ = 0;
  uint8_t subnet_scope_bits_ = 0;
  std::optional<ExtendedError> error_;
};

// Fills the header at the start of what is written: id, opcode, RD and CD from the query, QR, the
// other `flags`, and the counts of records in answer, authority and additional without OPT.
void WriteHeader(const Query& query, Rcode rcode, uint16_t flags,
                 const std::array<uint16_t, 3>& counts, ByteWriter& writer);

}  // namespace pharos::dns
