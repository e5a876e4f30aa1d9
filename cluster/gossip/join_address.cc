#include "cluster/gossip/join_address.h"

#include <charconv>

#include "absl/strings/str_format.h"
#include "base/ip_address.h"

namespace pharos::gossip {
namespace {

absl::Status BadAddress(std::string_view text) {
  return absl::InvalidArgumentError(absl::StrFormat(
      "the address to join is \"%s\"; expected an IP address or a host name, with or without a "
      "port, such as 10.0.0.1, [::1]:8301 or server-1:8301",
      text));
}

}  // namespace

absl::StatusOr<JoinAddress> ParseJoinAddress(std::string_view text, uint16_t default_port) {
  JoinAddress address{.node = {}, .host = {}, .port = default_port};
  if (text.starts_with("provider=")) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "\"%s\" looks agents up at a cloud provider, which is not supported; give their addresses "
        "or a DNS name that has them",
        text));
  }
  std::string_view rest = text;
  if (const size_t slash = rest.find('/'); slash != std::string_view::npos) {
    address.node = rest.substr(0, slash);
    rest.remove_prefix(slash + 1);
    if (address.node.empty()) return BadAddress(text);
  }
  std::string_view port;
  if (rest.starts_with('[')) {
    const size_t end = rest.find(']');
    if (end == std::string_view::npos) return BadAddress(text);
    address.host = rest.substr(1, end - 1);
    rest.remove_prefix(end + 1);
    if (!rest.empty() && rest[0] != ':') return BadAddress(text);
    if (!rest.empty()) port = rest.substr(1);
    const bool has_port = !rest.empty();
    if (!IpAddress::Parse(address.host) || (has_port && port.empty())) return BadAddress(text);
  } else if (IpAddress::Parse(rest)) {
    address.host = rest;
  } else {
    const size_t colon = rest.find(':');
    address.host = rest.substr(0, colon);
    if (colon != std::string_view::npos) {
      port = rest.substr(colon + 1);
      if (port.empty()) return BadAddress(text);
    }
  }
  if (address.host.empty() || address.host.find_first_of(" /\t") != std::string::npos) {
    return BadAddress(text);
  }
  if (port.empty()) return address;
  const char* const end = port.data() + port.size();
  const auto [read_to, error] = std::from_chars(port.data(), end, address.port);
  if (error != std::errc() || read_to != end || address.port == 0) return BadAddress(text);
  return address;
}

}  // namespace pharos::gossip
