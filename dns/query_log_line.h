// One line of the query log.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "base/ip_address.h"
#include "base/octets.h"
#include "dns/name.h"
#include "dns/observer_options.h"
#include "dns/query_observer.h"
#include "dns/types.h"

namespace pharos::dns {

// What is known of a query and its answer. A plain value that goes from thread to thread.
struct QueryLogEntry {
  absl::Time time;  // When it was answered.
  SocketAddress client;
  Transport transport = Transport::kUdp;
  std::optional<Name> qname;  // None: the question could not be read.
  RrType qtype = RrType::kA;
  std::optional<Rcode> rcode;  // None: no reply was sent.
  uint32_t reply_octets = 0;
  absl::Duration latency;
  AnswerSource source = AnswerSource::kZone;
};

// The RCODE of a reply, with the upper bits that its OPT record holds (RFC 6891 section 6.1.3);
// none of what is too short for a header.
std::optional<Rcode> ReadRcode(Octets reply);

// "SRV", or "TYPE99" (RFC 3597 section 5).
std::string TypeName(RrType type);
// "NXDOMAIN", or "RCODE9".
std::string RcodeName(Rcode rcode);
// "zone", "cache", "upstream", "bound" or "rate_limit".
std::string_view SourceName(AnswerSource source);
// The least of "1ms", "10ms", "100ms" and "1s" that the latency is below, or "over".
std::string_view LatencyClass(absl::Duration latency);

// With its end of line, and none within: what a name from the network holds is escaped.
std::string FormatQueryLogLine(const QueryLogEntry& entry, QueryLogFormat format);

}  // namespace pharos::dns
