#include "agent/config/build_recursion.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "agent/config/template_hint.h"

namespace pharos::agent {
namespace {

// Long enough for one upstream to be asked (dns::kUpstreamWaitMin).
constexpr absl::Duration kDeadlineMin = absl::Milliseconds(200);

// Loopback, RFC 1918, RFC 6598, link-local (RFC 3927, RFC 4291) and RFC 4193: who is on none of
// these is a stranger, whom an open resolver would serve to attack others (RFC 5358).
constexpr std::array kNearNetworks = {"127.0.0.0/8",    "::1/128",        "10.0.0.0/8",
                                      "172.16.0.0/12",  "192.168.0.0/16", "100.64.0.0/10",
                                      "169.254.0.0/16", "fc00::/7",       "fe80::/10"};

// Reads the servers of one list; problems are told of `key`, where `path` is the key to point at.
std::vector<dns::Upstream> ReadUpstreams(const Settings& settings, const Machine& machine,
                                         std::string_view path, const std::string& key,
                                         const Value& list) {
  std::vector<dns::Upstream> upstreams;
  for (const Value& element : list.list) {
    const auto expanded = ExpandAddressTemplates(element.text, machine.interfaces);
    if (!expanded.ok()) {
      settings.Problem(path, absl::StrCat(key, ": ", std::string(expanded.status().message())));
      continue;
    }
    for (const auto word : absl::StrSplit(*expanded, ' ', absl::SkipEmpty())) {
      const std::string text(word);
      const absl::StatusOr<dns::Upstream> upstream = dns::ParseUpstream(text);
      if (!upstream.ok()) {
        const std::string message =
            absl::StrCat(key, ": ", std::string(upstream.status().message()));
        settings.Problem(path, WithTemplateHint(message, text));
      } else if (std::ranges::find(upstreams, *upstream) == upstreams.end()) {
        upstreams.push_back(*upstream);
      }
    }
  }
  return upstreams;
}

// A domain below one that we answer for would never be asked for.
bool IsOurs(const dns::Name& domain, const DnsConfig& config) {
  return std::ranges::any_of(std::array{config.domain, config.alt_domain},
                             [&domain](const std::string& text) {
                               const auto ours = dns::Name::FromText(text);
                               return ours && !ours->is_root() && domain.IsAtOrBelow(*ours);
                             });
}

void BuildForwardZones(const Settings& settings, const Machine& machine, DnsConfig& config) {
  constexpr std::string_view kPath = "forward_zones";
  const Value* zones = settings.Find(kPath);
  if (zones == nullptr || !zones->is(Value::Kind::kMap)) return;
  for (const Entry& entry : zones->map) {
    const std::string key = absl::StrFormat("%s[%s]", kPath, entry.key);
    const std::optional<dns::Name> domain = dns::Name::FromText(entry.key);
    if (!domain || domain->is_root()) {
      settings.Problem(kPath, absl::StrFormat("%s: \"%s\" is no domain; expected a domain name "
                                              "such as \"corp.example\" or "
                                              "\"10.in-addr.arpa\"",
                                              kPath, entry.key));
      continue;
    }
    if (IsOurs(*domain, config)) {
      settings.Problem(kPath, absl::StrFormat("%s: \"%s\" is in a domain that this server answers "
                                              "itself; expected one outside",
                                              kPath, entry.key));
      continue;
    }
    std::vector<dns::Upstream> upstreams =
        ReadUpstreams(settings, machine, kPath, key, entry.value);
    if (entry.value.list.empty()) {
      settings.Problem(kPath, absl::StrFormat("%s has no servers; expected one at least", key));
    }
    config.forward_zones.push_back({domain->Lower(), std::move(upstreams)});
  }
}

void BuildAllowRecursion(const Settings& settings, DnsConfig& config) {
  constexpr std::string_view kPath = "dns_config.allow_recursion";
  std::vector<std::string> networks(kNearNetworks.begin(), kNearNetworks.end());
  settings.Read(kPath, networks);
  for (const std::string& text : networks) {
    const std::optional<IpAddress> address = IpAddress::Parse(text);
    const std::optional<Cidr> network =
        Cidr::Parse(address ? absl::StrCat(text, address->is_v4() ? "/32" : "/128") : text);
    if (network) {
      config.allow_recursion.push_back(*network);
    } else {
      settings.Problem(kPath, absl::StrFormat("%s: \"%s\" is no network; expected one such as "
                                              "10.0.0.0/8, fd00::/8 or 192.0.2.1",
                                              kPath, text));
    }
  }
}

void BuildRebinding(const Settings& settings, DnsConfig& config) {
  constexpr std::string_view kPath = "dns_config.rebind_allow";
  settings.Read("dns_config.rebind_protection", config.rebind_protection);
  std::vector<std::string> domains;
  settings.Read(kPath, domains);
  for (const std::string& text : domains) {
    const std::optional<dns::Name> domain = dns::Name::FromText(text);
    if (domain && !domain->is_root()) {
      config.rebind_allow.push_back(*domain);
    } else {
      settings.Problem(kPath, absl::StrFormat("%s: \"%s\" is no domain; expected a domain name "
                                              "such as \"corp.example\"",
                                              kPath, text));
    }
  }
}

void BuildStrategy(const Settings& settings, DnsConfig& config) {
  std::string strategy = "sequential";
  settings.Read("dns_config.recursor_strategy", strategy);
  if (strategy == "random") config.recursor_strategy = dns::RecursorStrategy::kRandom;
  if (strategy != "random" && strategy != "sequential") {
    settings.Problem("dns_config.recursor_strategy",
                     absl::StrFormat("dns_config.recursor_strategy: invalid strategy: \"%s\"; "
                                     "expected sequential or random",
                                     strategy));
  }
}

}  // namespace

void BuildRecursion(const Settings& settings, const Machine& machine, Config& config) {
  DnsConfig& dns = config.dns;
  if (const Value* recursors = settings.Find("recursors")) {
    dns.recursors = ReadUpstreams(settings, machine, "recursors", "recursors", *recursors);
  }
  BuildForwardZones(settings, machine, dns);
  BuildStrategy(settings, dns);
  settings.Read("dns_config.recursor_timeout", dns.recursor_timeout);
  settings.Read("dns_config.recursor_deadline", dns.recursor_deadline);
  if (dns.recursor_deadline < kDeadlineMin) {
    settings.Problem("dns_config.recursor_deadline",
                     absl::StrFormat("dns_config.recursor_deadline is %s; expected %s at least",
                                     absl::FormatDuration(dns.recursor_deadline),
                                     absl::FormatDuration(kDeadlineMin)));
  }
  settings.Read("dns_config.recursor_ca_file", dns.recursor_ca_file);
  settings.Read("dns_config.recursor_ca_path", dns.recursor_ca_path);
  settings.Read("dns_config.loop_detection", dns.loop_detection);
  BuildAllowRecursion(settings, dns);
  BuildRebinding(settings, dns);
}

}  // namespace pharos::agent
