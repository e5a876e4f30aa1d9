#include "dns/own_address.h"

#include <algorithm>

#include "absl/strings/str_format.h"

namespace pharos::dns {
namespace {

bool IsOwn(const SocketAddress& upstream, const SocketAddress& listening,
           std::span<const IpAddress> local_ips) {
  if (upstream.port != listening.port) return false;
  // To connect to the unspecified address is to connect to this machine's loopback.
  const bool loopback = upstream.ip.IsLoopback() || upstream.ip.IsUnspecified();
  if (!listening.ip.IsUnspecified()) {
    return upstream.ip == listening.ip ||
           (upstream.ip.IsUnspecified() && listening.ip.IsLoopback());
  }
  return loopback || std::ranges::find(local_ips, upstream.ip) != local_ips.end();
}

}  // namespace

absl::Status RejectOwnAddresses(std::span<const SocketAddress> upstreams,
                                std::span<const SocketAddress> listening,
                                std::span<const IpAddress> local_ips) {
  for (const SocketAddress& upstream : upstreams) {
    for (const SocketAddress& own : listening) {
      if (!IsOwn(upstream, own, local_ips)) continue;
      return absl::InvalidArgumentError(absl::StrFormat(
          "recursors: %s is this server itself, which listens on %s; expected another server",
          upstream.ToString(), own.ToString()));
    }
  }
  return absl::OkStatus();
}

}  // namespace pharos::dns
