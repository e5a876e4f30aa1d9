#include "agent/config/build.h"

#include <algorithm>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "agent/config/build_cluster.h"
#include "agent/config/build_edns.h"
#include "agent/config/build_gossip.h"
#include "agent/config/build_grpc.h"
#include "agent/config/build_http.h"
#include "agent/config/build_limits.h"
#include "agent/config/build_recursion.h"
#include "agent/config/build_telemetry.h"
#include "agent/config/template_hint.h"
#include "dns/name.h"

namespace pharos::agent {
namespace {

constexpr int64_t kIntMax = std::numeric_limits<int>::max();
constexpr int64_t kSoaSecondsMax = std::numeric_limits<int32_t>::max();  // RFC 2181 section 8
constexpr int kThreadsMax = 256;
constexpr uint32_t kStandardNegativeTtl_s = 1;
constexpr int kPercentMax = 100;

bool IsDatacenterOctet(char c) {
  return absl::ascii_isdigit(static_cast<unsigned char>(c)) || (c >= 'a' && c <= 'z') || c == '-' ||
         c == '_';
}

bool IsUuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    const auto octet = static_cast<unsigned char>(text[i]);
    if (dash ? octet != '-' : absl::ascii_isxdigit(octet) == 0) return false;
  }
  return true;
}

void BuildDatacenter(const Settings& settings, Config& config) {
  settings.Read("datacenter", config.datacenter);
  const std::string given = config.datacenter;
  absl::AsciiStrToLower(&config.datacenter);
  if (config.datacenter.empty()) {
    settings.Problem("datacenter", "datacenter cannot be empty");
  } else if (!std::all_of(config.datacenter.begin(), config.datacenter.end(), IsDatacenterOctet)) {
    settings.Problem(
        "datacenter",
        WithTemplateHint(absl::StrFormat("datacenter cannot be \"%s\". Please use only "
                                         "[a-z0-9-_]",
                                         given),
                         given));
  }
  config.primary_datacenter = config.datacenter;
  settings.Read("primary_datacenter", config.primary_datacenter);
  absl::AsciiStrToLower(&config.primary_datacenter);
}

void BuildNodeIdentity(const Settings& settings, const Machine& machine, Config& config,
                       BuildNotes& notes) {
  settings.Read("node_name", config.node_name);
  if (config.node_name.empty()) config.node_name = machine.host_name;
  if (config.node_name.empty()) {
    settings.Problem("node_name", "node_name cannot be empty");
  } else if (const std::string why = WhyNotDnsLabel(config.node_name); !why.empty()) {
    const std::string warning = absl::StrFormat("Node name \"%s\" %s", config.node_name, why);
    notes.warnings.push_back(
        settings.Located("node_name", WithTemplateHint(warning, config.node_name)));
  }
  settings.Read("node_id", config.node_id);
  if (!config.node_id.empty() && !IsUuid(config.node_id)) {
    settings.Problem("node_id", absl::StrFormat("node_id is \"%s\"; expected a UUID such as "
                                                "11111111-2222-3333-4444-555555555555",
                                                config.node_id));
  }
  absl::AsciiStrToLower(&config.node_id);
  settings.Read("node_meta", config.node_meta);
  const std::string why_not = CheckMetadata(config.node_meta);
  if (!why_not.empty()) {
    settings.Problem("node_meta", absl::StrFormat("node_meta invalid: %s", why_not));
  }
  settings.Read("locality.region", config.locality.region);
  settings.Read("locality.zone", config.locality.zone);
}

void BuildFiles(const Settings& settings, Config& config) {
  settings.Read("data_dir", config.data_dir);
  settings.Read("pid_file", config.pid_file);
  if (config.dev_mode) {
    config.data_dir.clear();  // -dev keeps everything in memory.
  } else if (config.data_dir.empty()) {
    settings.Problem("data_dir", "data_dir cannot be empty");
  }
}

// The part of BuildServerMode about bootstrap_expect, the number of servers to wait for.
void BuildBootstrapExpect(const Settings& settings, Config& config, BuildNotes& notes) {
  settings.ReadInt("bootstrap_expect", 0, kIntMax, config.bootstrap_expect);
  const int expected = config.bootstrap_expect;
  if (expected == 0) return;
  if (config.dev_mode) {
    settings.Problem("bootstrap_expect", "'bootstrap_expect > 0' not allowed in dev mode");
  } else if (config.bootstrap) {
    settings.Problem("bootstrap_expect",
                     "'bootstrap_expect > 0' and 'bootstrap = true' are mutually exclusive");
  } else if (!config.server) {
    settings.Problem("bootstrap_expect", "'bootstrap_expect > 0' requires 'server = true'");
  } else if (expected == 1) {
    notes.warnings.emplace_back("BootstrapExpect is set to 1; this is the same as Bootstrap mode.");
    config.bootstrap = true;
    config.bootstrap_expect = 0;
  } else {
    if (expected == 2) {
      notes.warnings.emplace_back("A cluster with 2 servers will provide no failure tolerance.");
    } else if (expected % 2 == 0) {
      notes.warnings.emplace_back(
          "A cluster with an even number of servers does not achieve optimum fault tolerance.");
    }
    notes.warnings.push_back(
        absl::StrFormat("bootstrap_expect > 0: expecting %d servers", expected));
  }
}

void BuildServerMode(const Settings& settings, Config& config, BuildNotes& notes) {
  settings.Read("server", config.server);
  settings.Read("bootstrap", config.bootstrap);
  if (config.bootstrap && !config.server) {
    settings.Problem("bootstrap", "'bootstrap = true' requires 'server = true'");
  }
  BuildBootstrapExpect(settings, config, notes);
  if (config.dev_mode) config.bootstrap = config.server;
  config.leave_on_terminate = !config.server;
  config.skip_leave_on_interrupt = config.server;
  settings.Read("leave_on_terminate", config.leave_on_terminate);
  settings.Read("skip_leave_on_interrupt", config.skip_leave_on_interrupt);
}

// A zone's name: lower case with the final dot.
std::string BuildDomain(const Settings& settings, std::string_view path, std::string text) {
  const std::optional<dns::Name> name = dns::Name::FromText(text);
  if (!name || name->is_root()) {
    const std::string message =
        absl::StrFormat("%s is \"%s\"; expected a domain name such as \"consul\"", path, text);
    settings.Problem(path, WithTemplateHint(message, text));
    return text;
  }
  return name->Lower().ToText();
}

void BuildDomains(const Settings& settings, Config& config) {
  std::string domain = config.dns.domain, alt_domain;
  settings.Read("domain", domain);
  settings.Read("alt_domain", alt_domain);
  config.dns.domain = BuildDomain(settings, "domain", domain);
  if (alt_domain.empty()) return;
  config.dns.alt_domain = BuildDomain(settings, "alt_domain", alt_domain);
  // Such a name would be read as one under the main domain (service.consul is below consul).
  const std::string first = config.dns.alt_domain.substr(0, config.dns.alt_domain.find('.'));
  for (const std::string_view keyword : {"service", "connect", "node", "query", "addr"}) {
    if (first != keyword && first != config.datacenter) continue;
    settings.Problem("alt_domain",
                     absl::StrFormat("alt_domain cannot start with "
                                     "{service,connect,node,query,addr,%s}; it is \"%s\"",
                                     config.datacenter, alt_domain));
    return;
  }
}

void BuildProfile(const Settings& settings, DnsConfig& dns) {
  std::string profile = "consul";
  settings.Read("dns_config.profile", profile);
  if (profile == "standard") {
    dns.profile = DnsProfile::kStandard;
    dns.soa.min_ttl_s = kStandardNegativeTtl_s;
  } else if (profile != "consul") {
    settings.Problem(
        "dns_config.profile",
        absl::StrFormat("dns_config.profile is \"%s\"; expected consul or standard", profile));
  }
}

void BuildDns(const Settings& settings, const Machine& machine, Config& config) {
  DnsConfig& dns = config.dns;
  BuildProfile(settings, dns);
  BuildEdns(settings, config);
  BuildDomains(settings, config);
  BuildRecursion(settings, machine, config);
  settings.Read("dns_config.node_ttl", dns.node_ttl);
  settings.Read("dns_config.service_ttl", dns.service_ttl);
  settings.Read("dns_config.only_passing", dns.only_passing);
  settings.Read("dns_config.any_datacenter", dns.any_datacenter);
  settings.Read("dns_config.enable_truncate", dns.enable_truncate);
  settings.Read("dns_config.disable_compression", dns.disable_compression);
  settings.Read("dns_config.enable_additional_node_meta_txt", dns.enable_additional_node_meta_txt);
  settings.ReadInt("dns_config.udp_answer_limit", 0, kIntMax, dns.udp_answer_limit);
  settings.ReadInt("dns_config.a_record_limit", 0, kIntMax, dns.a_record_limit);
  settings.ReadInt("dns_config.soa.refresh", 0, kSoaSecondsMax, dns.soa.refresh_s);
  settings.ReadInt("dns_config.soa.retry", 0, kSoaSecondsMax, dns.soa.retry_s);
  settings.ReadInt("dns_config.soa.expire", 0, kSoaSecondsMax, dns.soa.expire_s);
  settings.ReadInt("dns_config.soa.min_ttl", 0, kSoaSecondsMax, dns.soa.min_ttl_s);
  settings.ReadInt("dns_config.threads", 0, kThreadsMax, dns.threads);
  settings.ReadInt("dns_config.cache_octets", 0, std::numeric_limits<int64_t>::max(),
                   dns.cache_octets);
  settings.ReadInt("dns_config.tcp_connections_max", 1, kIntMax, dns.tcp_connections_max);

  settings.Read("dns_config.max_stale", dns.max_stale);
  settings.ReadInt("dns_config.panic_threshold", 0, kPercentMax, dns.panic_threshold);
  std::string locality = "off";
  settings.Read("dns_config.locality", locality);
  dns.prefer_near = locality == "prefer";
  if (locality != "off" && locality != "prefer") {
    settings.Problem(
        "dns_config.locality",
        absl::StrFormat("dns_config.locality is \"%s\"; expected off or prefer", locality));
  }
}

void BuildTls(const Settings& settings, Config& config, BuildNotes& notes) {
  const auto read = [&](const std::string& name, std::string& target) {
    settings.Read(name, target);
    settings.Read(absl::StrCat("tls.defaults.", name), target);
    settings.Read(absl::StrCat("tls.https.", name), target);
  };
  read("ca_file", config.tls.ca_file);
  read("ca_path", config.tls.ca_path);
  read("cert_file", config.tls.cert_file);
  read("key_file", config.tls.key_file);
  const bool no_certificate = config.tls.cert_file.empty() || config.tls.key_file.empty();
  if (config.ports.https > 0 && no_certificate) {
    const std::string_view missing = !config.tls.key_file.empty()    ? "cert_file is"
                                     : !config.tls.cert_file.empty() ? "key_file is"
                                                                     : "cert_file and key_file are";
    notes.warnings.push_back(settings.Located(
        "ports.https", absl::StrFormat("ports.https is %d but %s not set: HTTPS is not started",
                                       config.ports.https, missing)));
  }
}

void BuildDefinitions(const Settings& settings, const SourceNames& names, Problems& problems,
                      Config& config, BuildNotes& notes) {
  settings.Read("enable_script_checks", config.enable_script_checks);
  settings.Read("enable_local_script_checks", config.enable_local_script_checks);
  config.enable_local_script_checks |= config.enable_script_checks;
  const bool scripts = config.enable_local_script_checks;
  DefinitionNotes definition_notes;
  config.services =
      ReadServices(settings.Find("services"), scripts, names, problems, definition_notes);
  config.checks = ReadChecks(settings.Find("checks"), scripts, problems);
  config.watches = ReadWatches(settings.Find("watches"), problems, definition_notes);
  notes.warnings.insert(notes.warnings.end(), definition_notes.warnings.begin(),
                        definition_notes.warnings.end());
  notes.no_effect_keys = std::move(definition_notes.no_effect_keys);
}

}  // namespace

Config BuildConfig(const Value& tree, const SourceNames& names, const Machine& machine,
                   bool dev_mode, Problems& problems, BuildNotes& notes) {
  const Settings settings(tree, names, problems);
  Config config;
  config.dev_mode = dev_mode;
  BuildDatacenter(settings, config);
  BuildNodeIdentity(settings, machine, config, notes);
  BuildFiles(settings, config);
  BuildServerMode(settings, config, notes);
  BuildCluster(settings, config);
  BuildNetwork(settings, machine, config, notes);
  BuildDns(settings, machine, config);
  BuildDnsLimits(settings, config);
  BuildQueryTaps(settings, config);
  BuildHttp(settings, config);
  BuildGrpc(settings, config, notes);
  BuildGossip(settings, machine, config);
  BuildTls(settings, config, notes);
  BuildLog(settings, config);
  BuildTelemetry(settings, config, notes);
  BuildDefinitions(settings, names, problems, config, notes);
  return config;
}

}  // namespace pharos::agent
