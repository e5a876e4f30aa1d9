// No forwarding to ourselves: a recursor that is this very server would send each question in
// circles until it times out.
#pragma once

#include <span>
#include <string_view>

#include "absl/status/status.h"
#include "base/ip_address.h"
#include "dns/upstream.h"

namespace pharos::dns {

// InvalidArgument if an upstream of the configuration's `key` is one of the addresses we listen on.
// A wildcard listens on every address of the machine: the loopback ones and `local_ips` (those of
// its interfaces).
absl::Status RejectOwnAddresses(std::string_view key, std::span<const Upstream> upstreams,
                                std::span<const SocketAddress> listening,
                                std::span<const IpAddress> local_ips);

}  // namespace pharos::dns
