#include <optional>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "agent/config/build.h"
#include "agent/config/template_hint.h"

namespace pharos::agent {
namespace {

constexpr std::string_view kUnixPrefix = "unix://";
constexpr int kGrpcTlsServerPort = 8503;

// The words of an address key, templates expanded; nullopt if the key is not set or a template
// gives nothing (which is then a problem).
std::optional<std::vector<std::string>> ReadWords(const Settings& settings, std::string_view path,
                                                  const Machine& machine) {
  std::string text;
  settings.Read(path, text);
  if (text.empty()) return std::nullopt;
  const absl::StatusOr<std::string> expanded = ExpandAddressTemplates(text, machine.interfaces);
  if (!expanded.ok()) {
    settings.Problem(path,
                     absl::StrFormat("%s: %s", path, std::string(expanded.status().message())));
    return std::nullopt;
  }
  return std::vector<std::string>(
      absl::StrSplit(*expanded, absl::ByAnyChar(" \t\n"), absl::SkipEmpty()));
}

std::optional<IpAddress> ParseIp(const Settings& settings, std::string_view path,
                                 std::string_view text) {
  std::string_view bare = text;
  if (bare.starts_with('[') && bare.ends_with(']')) bare = bare.substr(1, bare.size() - 2);
  const std::optional<IpAddress> ip = IpAddress::Parse(bare);
  if (!ip) {
    settings.Problem(
        path, WithTemplateHint(absl::StrFormat("%s: invalid ip address: %s", path, text), text));
  }
  return ip;
}

// A key that holds one IP address. False if it is not set or wrong.
bool ReadIp(const Settings& settings, std::string_view path, const Machine& machine,
            IpAddress& target) {
  const std::optional<std::vector<std::string>> words = ReadWords(settings, path, machine);
  if (!words) return false;
  if (words->size() != 1) {
    settings.Problem(path,
                     absl::StrFormat("%s holds %d addresses; expected one", path, words->size()));
    return false;
  }
  const std::optional<IpAddress> ip = ParseIp(settings, path, words->front());
  if (ip) target = *ip;
  return ip.has_value();
}

// A key that holds addresses with blanks between them, or paths of sockets.
void ReadListeners(const Settings& settings, std::string_view path, const Machine& machine,
                   std::vector<ListenAddress>& target) {
  const std::optional<std::vector<std::string>> words = ReadWords(settings, path, machine);
  if (!words) return;
  target.clear();
  for (const std::string& word : *words) {
    ListenAddress listen;
    if (word.starts_with(kUnixPrefix)) {
      listen.unix_path = word.substr(kUnixPrefix.size());
    } else if (const std::optional<IpAddress> ip = ParseIp(settings, path, word)) {
      listen.ip = *ip;
    } else {
      continue;
    }
    target.push_back(std::move(listen));
  }
}

void BuildAddresses(const Settings& settings, const Machine& machine, Config& config) {
  std::vector<ListenAddress> client = {{IpAddress::V4({127, 0, 0, 1}), ""}};
  ReadListeners(settings, "client_addr", machine, client);
  std::vector<ListenAddress> dns = client;
  config.addresses.http = config.addresses.https = client;
  config.addresses.grpc = config.addresses.grpc_tls = client;
  ReadListeners(settings, "addresses.dns", machine, dns);
  ReadListeners(settings, "addresses.http", machine, config.addresses.http);
  ReadListeners(settings, "addresses.https", machine, config.addresses.https);
  ReadListeners(settings, "addresses.grpc", machine, config.addresses.grpc);
  ReadListeners(settings, "addresses.grpc_tls", machine, config.addresses.grpc_tls);
  for (const ListenAddress& listen : dns) {
    if (listen.unix_path.empty()) {
      config.addresses.dns.push_back(listen.ip);
    } else {
      settings.Problem(settings.Has("addresses.dns") ? "addresses.dns" : "client_addr",
                       "DNS address cannot be a unix socket");
    }
  }
}

void BuildPorts(const Settings& settings, Config& config) {
  Ports& ports = config.ports;
  if (config.server) ports.grpc_tls = kGrpcTlsServerPort;
  settings.ReadPort("ports.dns", ports.dns);
  settings.ReadPort("ports.http", ports.http);
  settings.ReadPort("ports.https", ports.https);
  settings.ReadPort("ports.grpc", ports.grpc);
  settings.ReadPort("ports.grpc_tls", ports.grpc_tls);
  settings.ReadPort("ports.serf_lan", ports.serf_lan);
  settings.ReadPort("ports.serf_wan", ports.serf_wan);
  settings.ReadPort("ports.server", ports.server);
}

// The address other machines reach this one at when none was given and it binds to all it has.
IpAddress DetectAdvertiseAddress(const Settings& settings, const Machine& machine,
                                 BuildNotes& notes) {
  const std::vector<IpAddress> candidates = PrivateV4Addresses(machine.interfaces);
  if (candidates.size() == 1) return candidates[0];
  if (candidates.size() > 1) {
    settings.Problem("bind_addr",
                     "Multiple private IPv4 addresses found. Please configure one with 'bind' "
                     "and/or 'advertise'.");
    return candidates[0];
  }
  for (const InterfaceAddress& candidate : machine.interfaces) {
    if (candidate.up && candidate.address.is_v4() && !candidate.address.IsLoopback()) {
      return candidate.address;
    }
  }
  notes.warnings.emplace_back(
      "No private IPv4 address found: advertising 127.0.0.1, which no other machine reaches; set "
      "advertise_addr");
  return IpAddress::V4({127, 0, 0, 1});
}

void BuildAdvertised(const Settings& settings, const Machine& machine, Config& config,
                     BuildNotes& notes) {
  ReadIp(settings, "bind_addr", machine, config.bind_addr);
  if (!ReadIp(settings, "advertise_addr", machine, config.advertise_addr)) {
    config.advertise_addr = config.bind_addr.IsUnspecified()
                                ? DetectAdvertiseAddress(settings, machine, notes)
                                : config.bind_addr;
  }
  config.advertise_addr_wan = config.advertise_addr;
  ReadIp(settings, "advertise_addr_wan", machine, config.advertise_addr_wan);
  for (const auto& [path, address] :
       {std::pair<std::string_view, IpAddress>{"advertise_addr", config.advertise_addr},
        std::pair<std::string_view, IpAddress>{"advertise_addr_wan", config.advertise_addr_wan}}) {
    if (address.IsUnspecified()) {
      settings.Problem(path, absl::StrFormat("%s cannot be 0.0.0.0 or ::; expected an address that "
                                             "other machines reach",
                                             path));
      return;
    }
  }
}

// lan, wan and their forms by address family; what the operator gives under tagged_addresses wins.
void BuildTaggedAddresses(const Settings& settings, const Machine& machine, Config& config) {
  TextPairs& tagged = config.tagged_addresses;
  const auto set = [&](std::string_view tag, const std::string& address) {
    for (auto& [known, value] : tagged) {
      if (known != tag) continue;
      value = address;
      return;
    }
    tagged.emplace_back(std::string(tag), address);
  };
  const auto set_family = [&](const std::string& tag, const IpAddress& address) {
    set(absl::StrCat(tag, address.is_v4() ? "_ipv4" : "_ipv6"), address.ToString());
  };
  set("lan", config.advertise_addr.ToString());
  set_family("lan", config.advertise_addr);
  set("wan", config.advertise_addr_wan.ToString());
  set_family("wan", config.advertise_addr_wan);
  const struct {
    std::string_view path, tag;
    bool v4;
  } kRows[] = {
      {"advertise_addr_ipv4", "lan_ipv4", true},
      {"advertise_addr_ipv6", "lan_ipv6", false},
      {"advertise_addr_wan_ipv4", "wan_ipv4", true},
      {"advertise_addr_wan_ipv6", "wan_ipv6", false},
  };
  for (const auto& row : kRows) {
    IpAddress address;
    if (!ReadIp(settings, row.path, machine, address)) continue;
    if (address.is_v4() != row.v4) {
      settings.Problem(row.path, absl::StrFormat("%s is %s; expected an %s address", row.path,
                                                 address.ToString(), row.v4 ? "IPv4" : "IPv6"));
    }
    set(row.tag, address.ToString());
  }
  TextPairs given;
  settings.Read("tagged_addresses", given);
  for (const auto& [tag, address] : given) set(tag, address);
  settings.Read("translate_wan_addrs", config.translate_wan_addrs);
}

// Complains of two listeners on one address and port.
class AddressClashes {
 public:
  explicit AddressClashes(const Settings& settings) : settings_(settings) {}

  void Add(std::string_view what, std::string_view port_path, const ListenAddress& listen,
           int port) {
    if (port <= 0) return;
    const std::string address =
        listen.unix_path.empty() ? SocketAddress{listen.ip, static_cast<uint16_t>(port)}.ToString()
                                 : absl::StrCat(std::string(kUnixPrefix), listen.unix_path);
    const auto [found, added] = owner_.try_emplace(address, what);
    if (added || found->second == what) return;
    settings_.Problem(port_path, absl::StrFormat("%s address %s already configured for %s", what,
                                                 address, found->second));
  }

 private:
  const Settings& settings_;
  absl::flat_hash_map<std::string, std::string_view> owner_;
};

void CheckClashes(const Settings& settings, const Config& config) {
  const Ports& ports = config.ports;
  const ListenAddress advertised = {config.advertise_addr, ""};
  AddressClashes clashes(settings);
  for (const IpAddress& ip : config.addresses.dns) {
    clashes.Add("DNS", "ports.dns", {ip, ""}, ports.dns);
  }
  for (const ListenAddress& at : config.addresses.http) {
    clashes.Add("HTTP", "ports.http", at, ports.http);
  }
  for (const ListenAddress& at : config.addresses.https) {
    clashes.Add("HTTPS", "ports.https", at, ports.https);
  }
  for (const ListenAddress& at : config.addresses.grpc) {
    clashes.Add("gRPC", "ports.grpc", at, ports.grpc);
  }
  for (const ListenAddress& at : config.addresses.grpc_tls) {
    clashes.Add("gRPC TLS", "ports.grpc_tls", at, ports.grpc_tls);
  }
  if (config.server) clashes.Add("RPC Advertise", "ports.server", advertised, ports.server);
  clashes.Add("Serf Advertise LAN", "ports.serf_lan", advertised, ports.serf_lan);
  if (config.server) {
    clashes.Add("Serf Advertise WAN", "ports.serf_wan", {config.advertise_addr_wan, ""},
                ports.serf_wan);
  }
}

}  // namespace

void BuildNetwork(const Settings& settings, const Machine& machine, Config& config,
                  BuildNotes& notes) {
  BuildAddresses(settings, machine, config);
  BuildPorts(settings, config);
  BuildAdvertised(settings, machine, config, notes);
  BuildTaggedAddresses(settings, machine, config);
  CheckClashes(settings, config);
}

}  // namespace pharos::agent
