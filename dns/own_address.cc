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

absl::Status RejectOwnAddresses(std::string_view key, std::span<const Upstream> upstreams,
                                std::span<const SocketAddress> listening,
                                std::span<const IpAddress> local_ips) {
  for (const Upstream& upstream : upstreams) {
    for (const SocketAddress& own : listening) {
      if (!IsOwn(upstream.address, own, local_ips)) continue;
      return absl::InvalidArgumentError(absl::StrFormat(
          "%s: %s is this server itself, which listens on %s; expected another server", key,
          upstream.ToString(), own.ToString()));
    }
  }
  return absl::OkStatus();
}

}  // namespace pharos::dns
