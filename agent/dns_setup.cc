#include "agent/dns_setup.h"

#include <algorithm>
#include <limits>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "base/random.h"
#include "base/status_macros.h"
#include "base/tls_client.h"
#include "dns/own_address.h"
#include "registry/records.h"

namespace pharos::agent {
namespace {

// Whole seconds, as DNS counts them; what is more than it can count is the most it can.
uint32_t WholeSeconds(absl::Duration duration) {
  const int64_t seconds = absl::ToInt64Seconds(duration);
  return static_cast<uint32_t>(
      std::clamp<int64_t>(seconds, 0, std::numeric_limits<int32_t>::max()));
}

// As the catalog reads a node's: the setting, else what the metadata says.
registry::Locality OwnLocality(const Config& config) {
  if (!config.locality.empty()) return config.locality;
  registry::Locality locality;
  for (const auto& [key, value] : config.node_meta) {
    if (key == registry::kRegionMeta) locality.region = value;
    if (key == registry::kZoneMeta) locality.zone = value;
  }
  return locality;
}

// What marks this process's questions (dns/loop_detection.h), the same as long as it runs.
const std::string& LoopToken() {
  static const std::string kToken =
      absl::StrFormat("%016x%016x", SecureRandomU64(), SecureRandomU64());
  return kToken;
}

void SetRecursion(const DnsConfig& given, dns::AnswerConfig& answers) {
  answers.recursion_available = !given.recursors.empty() || !given.forward_zones.empty();
  answers.only_forward_zones = given.recursors.empty();
  for (const dns::ForwardZone& zone : given.forward_zones) {
    answers.forward_zones.Set(zone.domain, {});
  }
  answers.may_recurse = given.allow_recursion;
  answers.rebind_protection = given.rebind_protection;
  for (const dns::Name& domain : given.rebind_allow) answers.rebind_allow.Set(domain, {});
}

}  // namespace

absl::StatusOr<dns::AnswerConfig> MakeAnswerConfig(const Config& config) {
  const DnsConfig& given = config.dns;
  dns::AnswerConfig answers;
  answers.datacenter = config.datacenter;
  ASSIGN_OR_RETURN(const dns::Zone zone, dns::Zone::Make(given.domain, config.datacenter));
  answers.zones.push_back(zone);
  if (!given.alt_domain.empty()) {
    ASSIGN_OR_RETURN(const dns::Zone alternative,
                     dns::Zone::Make(given.alt_domain, config.datacenter));
    answers.zones.push_back(alternative);
  }
  answers.node_name = registry::LowerCase(config.node_name);
  const registry::Locality locality = OwnLocality(config);
  answers.region = locality.region;
  answers.zone_in_region = locality.zone;
  answers.locality =
      given.prefer_near ? dns::LocalityPreference::kPrefer : dns::LocalityPreference::kOff;
  answers.panic_percent = static_cast<uint32_t>(given.panic_threshold);
  answers.node_ttl_s = WholeSeconds(given.node_ttl);
  std::vector<std::pair<std::string, uint32_t>> ttls;
  ttls.reserve(given.service_ttl.size());
  for (const auto& [key, ttl] : given.service_ttl) ttls.emplace_back(key, WholeSeconds(ttl));
  answers.service_ttls = dns::ServiceTtls(ttls);
  answers.soa = {.refresh_s = given.soa.refresh_s,
                 .retry_s = given.soa.retry_s,
                 .expire_s = given.soa.expire_s,
                 .minimum_s = given.soa.min_ttl_s};
  answers.only_passing = given.only_passing;
  answers.any_datacenter = given.any_datacenter;
  answers.standard = given.profile == DnsProfile::kStandard;
  answers.enable_truncate = given.enable_truncate || given.profile == DnsProfile::kStandard;
  answers.compression = !given.disable_compression;
  answers.node_meta_txt = given.enable_additional_node_meta_txt;
  answers.udp_answer_limit = static_cast<uint32_t>(given.udp_answer_limit);
  answers.a_record_limit = static_cast<uint32_t>(given.a_record_limit);
  answers.nsid = given.nsid;
  answers.cookies.enabled = given.cookies;
  answers.cookies.required = given.require_cookie;
  answers.cookies.secrets = given.cookie_secrets;
  SetRecursion(given, answers);
  return answers;
}

dns::ServerOptions MakeServerOptions(const Config& config) {
  dns::ServerOptions options;
  if (config.ports.dns >= 0) {
    for (const IpAddress& ip : config.addresses.dns) {
      options.addresses.push_back({ip, static_cast<uint16_t>(config.ports.dns)});
    }
  }
  // As many as the cores this process may use, which the affinity mask tells.
  const int cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  options.threads = config.dns.threads > 0 ? config.dns.threads : cores;
  options.tcp.connections_max =
      static_cast<size_t>(std::max(1, config.dns.tcp_connections_max / options.threads));
  // Rounded up, as a client has no say in which threads its connections come to.
  const int64_t of_client = config.dns.tcp_connections_per_client_max;
  options.tcp.connections_per_client_max =
      static_cast<size_t>((of_client + options.threads - 1) / options.threads);
  return options;
}

dns::WorkerOptions MakeWorkerOptions(const Config& config) {
  return {.rate_limit = config.dns.rate_limit,
          .forwards_per_client_max = static_cast<size_t>(config.dns.forwards_per_client_max)};
}

dns::ResolverOptions MakeResolverOptions(const Config& config, int threads) {
  dns::ResolverOptions options;
  options.upstreams = config.dns.recursors;
  options.forward_zones = config.dns.forward_zones;
  options.upstream_timeout = config.dns.recursor_timeout;
  options.deadline = config.dns.recursor_deadline;
  options.strategy = config.dns.recursor_strategy;
  options.cache_octets = static_cast<size_t>(config.dns.cache_octets / threads);
  options.tls = {.ca_file = config.dns.recursor_ca_file,
                 .ca_path = config.dns.recursor_ca_path,
                 .cert_file = {},
                 .key_file = {}};
  if (config.dns.loop_detection) options.loop_token = LoopToken();
  return options;
}

absl::Status CheckUpstreams(const dns::ResolverOptions& options,
                            std::span<const SocketAddress> listening,
                            std::span<const IpAddress> local_ips) {
  RETURN_IF_ERROR(dns::RejectOwnAddresses("recursors", options.upstreams, listening, local_ips));
  for (const dns::ForwardZone& zone : options.forward_zones) {
    RETURN_IF_ERROR(dns::RejectOwnAddresses("forward_zones", zone.upstreams, listening, local_ips));
  }
  const bool any_tls = std::ranges::any_of(options.upstreams, &dns::Upstream::tls) ||
                       std::ranges::any_of(options.forward_zones, [](const dns::ForwardZone& zone) {
                         return std::ranges::any_of(zone.upstreams, &dns::Upstream::tls);
                       });
  return any_tls ? TlsClient(options.tls).Prepare() : absl::OkStatus();
}

}  // namespace pharos::agent
