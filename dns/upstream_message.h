// Messages between us and the recursors: a query written so that a forged reply is hard to make
// (RFC 5452; letter case as in draft-vixie-dnsext-dns0x20), and a reply read with every part of it
// checked, so that what comes out is a plain value. No sockets, no clock.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/octets.h"
#include "dns/name.h"
#include "dns/resolver.h"
#include "dns/types.h"

namespace pharos::dns {

// Queries over TLS are padded to a multiple of this, so that their length tells less (RFC 8467
// section 4.1).
inline constexpr size_t kPaddingBlockOctets = 128;
// Header, the longest question, OPT: 286 octets, padded.
inline constexpr size_t kUpstreamQueryOctetsMax = 3 * kPaddingBlockOctets;
// The UDP payload we are ready to receive: no fragments on any usual path (DNS flag day 2020).
inline constexpr uint16_t kUpstreamUdpOctets = 1232;
// Records in one reply, all sections together; a reply with more is malformed to us. A message of
// 65,535 octets holds about as many addresses.
inline constexpr size_t kUpstreamRecordsMax = 4096;
// Names in an answer's chain of CNAME and DNAME records; what hangs on a longer one is dropped.
inline constexpr size_t kChainNamesMax = 16;

// One query to one upstream, as it is to be recognised in the reply.
struct UpstreamQuery {
  UpstreamQuestion question;
  uint16_t id = 0;
  Name spelled;         // The QNAME in the letter case that was sent.
  bool edns = true;     // Whether it has an OPT record; DO is lost without.
  bool padded = false;  // RFC 7830; only with EDNS.
};

// What one query needs that nobody may guess.
struct QuerySecret {
  std::array<uint8_t, 2> id;
  std::array<uint8_t, 32> letter_case;  // A bit for each octet of the name: upper case or lower.
};

UpstreamQuery MakeUpstreamQuery(const UpstreamQuestion& question, const QuerySecret& secret,
                                bool edns);

// Writes the query into `message` (room for kUpstreamQueryOctetsMax) and returns its length. RD and
// CD as the question says; no client subnet, which would tell upstreams who asked.
size_t WriteUpstreamQuery(const UpstreamQuery& query, MutableOctets message);

enum class ReplyKind : uint8_t {
  kAnswer,     // `answer` is filled, whatever its rcode.
  kTruncated,  // Ours, with TC: ask again over TCP.
  kWrongCase,  // As asked but for letter case: forged, or from an upstream that does not keep case.
  kMismatch,   // No reply to this query: not a reply at all, or id, opcode or question differ.
  kMalformed,  // Ours, and cannot be read.
};

// Reads what came back for `query`. Over TCP (where nobody off the path can answer) letter case is
// not looked at and TC is ignored.
//
// In `answer`, names inside RDATA are spelled out for all types that may be compressed (RFC 3597
// section 4), OPT is taken off and its extended rcode combined, and records of the answer section
// that are not in the chain from the QNAME are dropped. Our letter case is not seen in it: the
// QNAME in `message` is overwritten with the question's, so that names compressed onto it follow.
ReplyKind ReadUpstreamReply(const UpstreamQuery& query, Transport transport, MutableOctets message,
                            UpstreamAnswer& answer);

// Drops records of `answer` (the answer section of a reply about `qname`) whose owner is neither
// the QNAME nor reached from it by the section's CNAME and DNAME records.
void KeepChain(const Name& qname, std::vector<Record>& answer);

}  // namespace pharos::dns
