// A query as it came: read once, then handed around as plain values.
#pragma once

#include <cstdint>
#include <optional>

#include "base/octets.h"
#include "dns/cookie.h"
#include "dns/name.h"
#include "dns/types.h"

namespace pharos::dns {

// What the reply's OPT record holds that the query alone does not decide. HandleQuery settles it.
struct ReplyOptions {
  Octets nsid;  // Who answers (RFC 5001), borrowed from configuration; empty: not said.
  bool has_cookie = false;
  bool has_keepalive = false;
  uint16_t keepalive_100ms = 0;  // How long the connection may be idle (RFC 7828), in 100 ms.
  bool explain_failure = false;  // SERVFAIL has an extended error (decision 14).
  Cookie cookie{};
};

// The question's EDNS (RFC 6891), if it has an OPT record.
struct Edns {
  uint16_t udp_octets = 0;  // As asked, before any lower or upper bound.
  uint8_t version = 0;
  bool dnssec_ok = false;
  bool wants_nsid = false;       // RFC 5001 section 2.1.
  bool wants_keepalive = false;  // RFC 7828 section 3.2.1.
  bool has_options = false;      // Any but the client subnet.
  // Data of the client subnet option (RFC 7871 section 6) and of the COOKIE option (RFC 7873
  // section 4), borrowed from the message; empty if there is none.
  Octets client_subnet;
  Octets cookie;
  // kNone until HandleQuery has judged the cookie.
  CookieState cookie_state = CookieState::kNone;
  ReplyOptions reply;
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

  // Whether the client has shown that its address is its own.
  bool HasValidCookie() const { return edns && edns->cookie_state == CookieState::kValid; }
};

// What becomes of a message that may be a query.
enum class ParseResult : uint8_t {
  kQuery,       // `query` is filled.
  kCookieOnly,  // As kQuery, but without a question: only cookies are asked for (RFC 7873 s. 5.4).
  kDrop,        // No reply at all: too short for a header, or itself a reply.
  kNotImp,      // An opcode we do not serve.
  // Malformed. As for kNotImp, id, opcode and the flags are filled, and `question` and `edns` as
  // far as they could be read; the rest is not to be used.
  kFormErr,
};

// Reads a message from a client. Never allocates; borrows from `message`.
ParseResult ParseQuery(Octets message, Query& query);

}  // namespace pharos::dns
