// A query as it came: read once, then handed around as plain values.
#pragma once

#include <cstdint>
#include <optional>

#include "base/octets.h"
#include "dns/name.h"
#include "dns/types.h"

namespace pharos::dns {

// The question's EDNS (RFC 6891), if it has an OPT record.
struct Edns {
  uint16_t udp_octets = 0;  // As asked, before any lower or upper bound.
  uint8_t version = 0;
  bool dnssec_ok = false;
  // The client subnet option's data (RFC 7871 section 6), borrowed from the message; empty if none.
  Octets client_subnet;
};

struct Query {
  uint16_t id = 0;
  uint8_t opcode = 0;
  bool recursion_desired = false;
  bool checking_disabled = false;
  Name qname;  // Letter case as asked.
  RrType qtype = RrType::kA;
  RrClass qclass = RrClass::kIn;
  Octets question;  // The question section as it came, borrowed from the message.
  std::optional<Edns> edns;
};

// What becomes of a message that may be a query.
enum class ParseResult : uint8_t {
  kQuery,    // `query` is filled.
  kDrop,     // No reply at all: too short for a header, or itself a reply.
  kNotImp,   // An opcode we do not serve. id, opcode and recursion_desired are filled.
  kFormErr,  // id, opcode and recursion_desired are filled; the rest is not to be used.
};

// Reads a message from a client. Never allocates; borrows from `message`.
ParseResult ParseQuery(Octets message, Query& query);

}  // namespace pharos::dns
