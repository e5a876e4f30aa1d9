#include "base/ip_address.h"

#include <arpa/inet.h>

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"

namespace pharos {
namespace {

constexpr std::array<uint8_t, 12> kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

}  // namespace

IpAddress IpAddress::V4(std::array<uint8_t, 4> octets) {
  IpAddress address;
  std::copy(octets.begin(), octets.end(), address.octets_.begin());
  return address;
}

IpAddress IpAddress::V6(std::array<uint8_t, 16> octets) {
  if (std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), octets.begin())) {
    return V4({octets[12], octets[13], octets[14], octets[15]});
  }
  IpAddress address;
  address.is_v4_ = false;
  address.octets_ = octets;
  return address;
}

std::optional<IpAddress> IpAddress::Parse(std::string_view text) {
  const std::string terminated(text);
  if (terminated.find('\0') != std::string::npos) return std::nullopt;
  std::array<uint8_t, 4> v4;
  if (inet_pton(AF_INET, terminated.c_str(), v4.data()) == 1) return V4(v4);
  std::array<uint8_t, 16> v6;
  if (inet_pton(AF_INET6, terminated.c_str(), v6.data()) == 1) return V6(v6);
  return std::nullopt;
}

bool IpAddress::IsUnspecified() const {
  return std::ranges::all_of(octets_, [](uint8_t octet) { return octet == 0; });
}

bool IpAddress::IsLoopback() const {
  if (is_v4_) return octets_[0] == 127;
  return std::all_of(octets_.begin(), octets_.end() - 1, [](uint8_t o) { return o == 0; }) &&
         octets_[15] == 1;
}

bool IpAddress::IsPrivate() const {
  if (!is_v4_) return (octets_[0] & 0xfe) == 0xfc;
  return octets_[0] == 10 || (octets_[0] == 172 && (octets_[1] & 0xf0) == 16) ||
         (octets_[0] == 192 && octets_[1] == 168) ||
         (octets_[0] == 100 && (octets_[1] & 0xc0) == 64);
}

std::string IpAddress::ToString() const {
  char text[INET6_ADDRSTRLEN];
  inet_ntop(is_v4_ ? AF_INET : AF_INET6, octets_.data(), text, sizeof text);
  return text;
}

std::string SocketAddress::ToString() const {
  return ip.is_v4() ? absl::StrFormat("%s:%d", ip.ToString(), port)
                    : absl::StrFormat("[%s]:%d", ip.ToString(), port);
}

socklen_t SocketAddress::ToSockaddr(sockaddr_storage& storage) const {
  std::memset(&storage, 0, sizeof storage);
  if (ip.is_v4()) {
    auto& v4 = reinterpret_cast<sockaddr_in&>(storage);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&v4.sin_addr, ip.octets().data(), 4);
    return sizeof v4;
  }
  auto& v6 = reinterpret_cast<sockaddr_in6&>(storage);
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  std::memcpy(&v6.sin6_addr, ip.octets().data(), 16);
  return sizeof v6;
}

SocketAddress SocketAddress::FromSockaddr(const sockaddr_storage& storage) {
  SocketAddress address;
  if (storage.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
    std::array<uint8_t, 16> octets;
    std::memcpy(octets.data(), &v6.sin6_addr, octets.size());
    address.ip = IpAddress::V6(octets);
    address.port = ntohs(v6.sin6_port);
  } else {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage);
    std::array<uint8_t, 4> octets;
    std::memcpy(octets.data(), &v4.sin_addr, octets.size());
    address.ip = IpAddress::V4(octets);
    address.port = ntohs(v4.sin_port);
  }
  return address;
}

absl::StatusOr<SocketAddress> ParseSocketAddress(std::string_view text, uint16_t default_port) {
  const auto error = [&] {
    return absl::InvalidArgumentError(absl::StrFormat(
        "\"%s\" is not an address; expected IP, IP:PORT, IPv6 or [IPv6]:PORT", text));
  };
  if (const auto bare = IpAddress::Parse(text)) return SocketAddress{*bare, default_port};

  std::string_view host = text, port;
  if (text.starts_with('[')) {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) return error();
    host = text.substr(1, close - 1);
    port = text.substr(close + 1);
    if (!port.empty() && !port.starts_with(':')) return error();
    if (!port.empty()) port.remove_prefix(1);
    if (port.empty() && text.ends_with(':')) return error();
  } else {
    const size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return error();
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (port.empty()) return error();
  }
  const auto ip = IpAddress::Parse(host);
  if (!ip || (text.starts_with('[') && host.find(':') == std::string_view::npos)) return error();
  if (!text.starts_with('[') && host.find(':') != std::string_view::npos) return error();
  if (port.empty()) return SocketAddress{*ip, default_port};
  const bool digits = std::ranges::all_of(port, [](char c) { return c >= '0' && c <= '9'; });
  uint32_t number = 0;
  if (!digits || !absl::SimpleAtoi(std::string(port), &number) || number == 0 || number > 65535) {
    return error();
  }
  return SocketAddress{*ip, static_cast<uint16_t>(number)};
}

}  // namespace pharos
