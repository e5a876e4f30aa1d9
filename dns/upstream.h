// A server that questions are passed on to, and by what.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "base/ip_address.h"

namespace pharos::dns {

struct Upstream {
  SocketAddress address;
  // DNS over TLS (RFC 7858); otherwise UDP, and TCP where that is needed.
  bool tls = false;
  // Whom the certificate has to be for; empty: for the IP address.
  std::string tls_name{};

  // As ParseUpstream reads it, with the port.
  std::string ToString() const;

  friend bool operator==(const Upstream&, const Upstream&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const Upstream& upstream) {
    return H::combine(std::move(h), upstream.address, upstream.tls, upstream.tls_name);
  }
};

// Reads what ParseSocketAddress reads (port 53 unless given), or the same behind `tls://` (port
// 853, RFC 7858 section 3.1) and perhaps before `#` and the name in the certificate:
// `tls://1.1.1.1`, `tls://[2606:4700:4700::1111]:853#cloudflare-dns.com`. The error says what was
// given and what was expected.
absl::StatusOr<Upstream> ParseUpstream(std::string_view text);

}  // namespace pharos::dns
