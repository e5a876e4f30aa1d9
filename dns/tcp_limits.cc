#include "dns/tcp_limits.h"

#include <algorithm>

namespace pharos::dns {
namespace {

constexpr int kShortest = 20;  // As a part of the idle time-out.

}  // namespace

absl::Duration IdleTimeoutAt(const TcpLimits& limits, size_t open) {
  const size_t most = limits.connections_max;
  if (open <= most / 2) return limits.idle_timeout;
  const auto left = static_cast<int64_t>(most - std::min(open, most));
  const absl::Duration share = limits.idle_timeout * (2 * left) / static_cast<int64_t>(most);
  return std::clamp(share, limits.idle_timeout / kShortest, limits.idle_timeout);
}

}  // namespace pharos::dns
