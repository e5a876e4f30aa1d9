#include "agent/config/address_template.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <system_error>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"

namespace pharos::agent {
namespace {

constexpr std::string_view kExpected =
    "expected GetPrivateIP, GetPublicIP or GetInterfaceIP \"NAME\", without a pipeline";

bool IsLinkLocal(const IpAddress& address) {
  const Octets octets = address.octets();
  if (address.is_v4()) return octets[0] == 169 && octets[1] == 254;  // RFC 3927
  return octets[0] == 0xfe && (octets[1] & 0xc0) == 0x80;            // RFC 4291 section 2.5.6
}

std::vector<std::string> Select(std::span<const InterfaceAddress> interfaces,
                                const std::function<bool(const InterfaceAddress&)>& wanted) {
  std::vector<std::string> found;
  for (const bool v4 : {true, false}) {
    for (const InterfaceAddress& candidate : interfaces) {
      if (candidate.up && candidate.address.is_v4() == v4 && wanted(candidate)) {
        found.push_back(candidate.address.ToString());
      }
    }
  }
  return found;
}

// The name in quotes of `"eth0"`; empty if it is not that.
std::string_view Unquote(std::string_view text) {
  if (text.size() < 3 || !text.starts_with('"') || !text.ends_with('"')) return {};
  return text.substr(1, text.size() - 2);
}

std::string_view Trim(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") + 1 - first);
}

// What one template gives, `call` being the text between its braces.
absl::StatusOr<std::string> ExpandCall(std::string_view call,
                                       std::span<const InterfaceAddress> interfaces) {
  call = Trim(call);
  const size_t blank = std::min(call.find_first_of(" \t"), call.size());
  std::string_view function = call.substr(0, blank);
  const std::string_view argument = Trim(call.substr(blank));
  const bool all = function.ends_with('s');
  if (all) function.remove_suffix(1);

  std::vector<std::string> found;
  if (function == "GetPrivateIP" && argument.empty()) {
    found = Select(interfaces, [](const auto& i) { return i.address.IsPrivate(); });
  } else if (function == "GetPublicIP" && argument.empty()) {
    found = Select(interfaces, [](const InterfaceAddress& i) {
      return !i.address.IsPrivate() && !i.address.IsLoopback() && !IsLinkLocal(i.address);
    });
  } else if (function == "GetInterfaceIP" && !Unquote(argument).empty()) {
    const std::string_view name = Unquote(argument);
    found = Select(interfaces, [name](const InterfaceAddress& i) { return i.name == name; });
  } else {
    return absl::InvalidArgumentError(
        absl::StrFormat("{{ %s }} is no address template; %s", call, kExpected));
  }
  if (found.empty()) {
    return absl::InvalidArgumentError(
        absl::StrFormat("{{ %s }} gives no address on this machine", call));
  }
  return all ? absl::StrJoin(found, " ") : found[0];
}

}  // namespace

absl::StatusOr<std::vector<InterfaceAddress>> ReadInterfaceAddresses() {
  ifaddrs* first = nullptr;
  if (getifaddrs(&first) != 0) {
    return absl::InvalidArgumentError(absl::StrFormat("cannot read the network interfaces: %s",
                                                      std::generic_category().message(errno)));
  }
  absl::Cleanup free_list = [first] { freeifaddrs(first); };
  std::vector<InterfaceAddress> interfaces;
  for (const ifaddrs* entry = first; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr) continue;
    const bool v4 = entry->ifa_addr->sa_family == AF_INET;
    if (!v4 && entry->ifa_addr->sa_family != AF_INET6) continue;
    sockaddr_storage storage{};
    std::memcpy(&storage, entry->ifa_addr, v4 ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
    interfaces.push_back({.name = entry->ifa_name,
                          .address = SocketAddress::FromSockaddr(storage).ip,
                          .up = (entry->ifa_flags & IFF_UP) != 0});
  }
  return interfaces;
}

absl::StatusOr<std::string> ExpandAddressTemplates(std::string_view text,
                                                   std::span<const InterfaceAddress> interfaces) {
  std::string expanded;
  while (true) {
    const size_t open = text.find("{{");
    absl::StrAppend(&expanded, std::string(text.substr(0, open)));
    if (open == std::string_view::npos) return expanded;
    const size_t close = text.find("}}", open);
    if (close == std::string_view::npos) {
      return absl::InvalidArgumentError(
          absl::StrFormat("\"%s\" opens a template with {{; expected }} after it", text));
    }
    std::string addresses;
    ASSIGN_OR_RETURN(addresses, ExpandCall(text.substr(open + 2, close - open - 2), interfaces));
    absl::StrAppend(&expanded, addresses);
    text.remove_prefix(close + 2);
  }
}

std::vector<IpAddress> PrivateV4Addresses(std::span<const InterfaceAddress> interfaces) {
  std::vector<IpAddress> found;
  for (const InterfaceAddress& candidate : interfaces) {
    if (candidate.up && candidate.address.is_v4() && candidate.address.IsPrivate()) {
      found.push_back(candidate.address);
    }
  }
  return found;
}

}  // namespace pharos::agent
