// Addresses in a configuration that are found out at start: `{{ GetPrivateIP }}` and its like
// (after https://github.com/hashicorp/go-sockaddr).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/ip_address.h"

namespace pharos::agent {

// One address of a network interface; an interface with several appears several times.
struct InterfaceAddress {
  std::string name;
  IpAddress address;
  bool up = true;
};

// The machine's interfaces in the kernel's order, read anew at each call. InvalidArgument when the
// kernel refuses.
absl::StatusOr<std::vector<InterfaceAddress>> ReadInterfaceAddresses();

// Replaces each template of `text` by the addresses it gives, joined by blanks: GetPrivateIP(s)
// (RFC 1918, 6598, 4193), GetPublicIP(s) and GetInterfaceIP(s) "NAME", IPv4 before IPv6; without
// the s only the first. Text without a template is given back. InvalidArgument: a function that is
// not one of these (pipelines are not read), braces that do not close, or a template that gives no
// address.
absl::StatusOr<std::string> ExpandAddressTemplates(std::string_view text,
                                                   std::span<const InterfaceAddress> interfaces);

// The private IPv4 addresses of interfaces that are up, without loopback.
std::vector<IpAddress> PrivateV4Addresses(std::span<const InterfaceAddress> interfaces);

}  // namespace pharos::agent
