// IP addresses and socket addresses as values.
#pragma once

#include <netinet/in.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/octets.h"

namespace pharos {

// An IPv4 or IPv6 address. An IPv4-mapped IPv6 address (::ffff:a.b.c.d) is the IPv4 address.
class IpAddress {
 public:
  // 0.0.0.0
  IpAddress() = default;
  static IpAddress V4(std::array<uint8_t, 4> octets);
  static IpAddress V6(std::array<uint8_t, 16> octets);
  // Strict dotted-quad or RFC 4291 text, without a zone or brackets; nullopt for anything else.
  static std::optional<IpAddress> Parse(std::string_view text);

  bool is_v4() const { return is_v4_; }
  bool is_v6() const { return !is_v4_; }
  // 4 or 16 octets in network order, borrowed from this.
  Octets octets() const { return is_v4_ ? Octets(octets_).first(4) : Octets(octets_); }
  bool IsUnspecified() const;
  bool IsLoopback() const;
  // RFC 1918, RFC 6598 or (for IPv6) RFC 4193 unique local.
  bool IsPrivate() const;
  // As inet_ntop writes it (RFC 5952 for IPv6).
  std::string ToString() const;

  friend bool operator==(const IpAddress&, const IpAddress&) = default;
  friend auto operator<=>(const IpAddress&, const IpAddress&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const IpAddress& address) {
    return H::combine(std::move(h), address.is_v4_, address.octets_);
  }

 private:
  bool is_v4_ = true;
  std::array<uint8_t, 16> octets_{};  // IPv4 in the first four; the rest is zero.
};

// An address and a port (host byte order).
struct SocketAddress {
  IpAddress ip;
  uint16_t port = 0;

  // `a.b.c.d:port` or `[v6]:port`.
  std::string ToString() const;
  // Fills `storage` and returns the length for bind(2) and its like.
  socklen_t ToSockaddr(sockaddr_storage& storage) const;
  static SocketAddress FromSockaddr(const sockaddr_storage& storage);

  friend bool operator==(const SocketAddress&, const SocketAddress&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const SocketAddress& address) {
    return H::combine(std::move(h), address.ip, address.port);
  }
};

// Reads `ip`, `ip:port`, `[v6]`, `[v6]:port` or a bare IPv6 address; without a port,
// `default_port`. The error says what was given and what was expected.
absl::StatusOr<SocketAddress> ParseSocketAddress(std::string_view text, uint16_t default_port);

}  // namespace pharos
