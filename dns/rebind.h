// DNS rebinding: a name outside that suddenly has an address inside lets a web page speak, in its
// own name, to whatever listens there. Where rebind_protection is on, such answers are withheld.
#pragma once

#include "dns/answer_config.h"
#include "dns/name.h"
#include "dns/resolver.h"

namespace pharos::dns {

// Whether `address` is of this machine, this link or a private network (RFC 1122, 1918, 3927, 4193,
// 4291, 6598), also where it is written inside an IPv6 address (RFC 4291 section 2.5.5, RFC 6052).
bool IsInsideAddress(const IpAddress& address);

// Whether what upstreams answered about `qname` is to be withheld. It is the name asked that
// counts, not what a CNAME leads to: the web page is of that name.
bool IsRebinding(const AnswerConfig& config, const Name& qname, const UpstreamAnswer& answer);

}  // namespace pharos::dns
