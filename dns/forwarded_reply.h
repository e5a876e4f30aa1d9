// What a client gets of an answer that came from the recursors.
#pragma once

#include <cstddef>

#include "base/octets.h"
#include "dns/query.h"
#include "dns/resolver.h"

namespace pharos::dns {

// Writes the reply to `query` into `reply` and returns its length, at most `octets_max` (at least
// kPlainUdpOctetsMax, at most what `reply` has room for). The question is copied as it came; AA and
// AD are as in `answer`, whose extended error goes into OPT; names are compressed where any client
// must understand it, unless `compression` is false.
//
// What does not fit is left out at a boundary of RRsets (RFC 2181 section 9): additional records
// first, and silently; a cut answer, or a negative one without its SOA, has TC. Never allocates.
size_t WriteForwardedReply(const Query& query, const UpstreamAnswer& answer, size_t octets_max,
                           MutableOctets reply, bool compression = true);

}  // namespace pharos::dns
