#include "agent/config/build_limits.h"

#include <sys/un.h>

#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "agent/version.h"
#include "base/cidr.h"

namespace pharos::agent {
namespace {

constexpr int kIntMax = std::numeric_limits<int>::max();
constexpr int kRateMax = 1'000'000;
constexpr int kWindowSecondsMax = 3600;
constexpr int kSlipMax = 10;
constexpr int kTableSizeMin = 64;
constexpr int kTableSizeMax = 1 << 24;
constexpr size_t kSocketPathMax = sizeof(sockaddr_un::sun_path) - 1;
constexpr size_t kExemptMax = 64;  // Each response is compared with all of them.

void BuildExempt(const Settings& settings, dns::RateLimitOptions& limit) {
  const std::string path = "dns_config.rate_limit.exempt";
  std::vector<std::string> blocks;
  settings.Read(path, blocks);
  if (blocks.size() > kExemptMax) {
    settings.Problem(path, absl::StrFormat("%s has %d blocks; expected at most %d", path,
                                           blocks.size(), kExemptMax));
  }
  for (const std::string& text : blocks) {
    const std::optional<Cidr> block = Cidr::Parse(text);
    if (block) {
      limit.exempt.push_back(*block);
      continue;
    }
    settings.Problem(path, absl::StrFormat("%s: \"%s\" is no block of addresses; expected one such "
                                           "as 10.0.0.0/8",
                                           path, text));
  }
}

void BuildRateLimit(const Settings& settings, dns::RateLimitOptions& limit) {
  const auto read = [&settings](const char* name, int min, int max, uint32_t& target) {
    settings.ReadInt(absl::StrFormat("dns_config.rate_limit.%s", name), min, max, target);
  };
  read("responses_per_second", 0, kRateMax, limit.responses_per_second);
  // What is not said is as for answers.
  limit.nxdomains_per_second = limit.errors_per_second = limit.responses_per_second;
  read("nxdomains_per_second", 0, kRateMax, limit.nxdomains_per_second);
  read("errors_per_second", 0, kRateMax, limit.errors_per_second);
  read("window", 1, kWindowSecondsMax, limit.window_s);
  read("slip", 0, kSlipMax, limit.slip);
  read("ipv4_prefix", 1, 32, limit.ipv4_prefix);
  read("ipv6_prefix", 1, 128, limit.ipv6_prefix);
  read("table_size", kTableSizeMin, kTableSizeMax, limit.table_size);
  BuildExempt(settings, limit);
}

void BuildDnstap(const Settings& settings, const std::string& node_name,
                 dns::DnstapOptions& dnstap) {
  settings.Read("dnstap.socket", dnstap.socket);
  settings.Read("dnstap.queries", dnstap.queries);
  settings.Read("dnstap.responses", dnstap.responses);
  dnstap.identity = node_name;
  dnstap.version = absl::StrFormat("pharos %s", kVersion);
  settings.Read("dnstap.identity", dnstap.identity);
  settings.Read("dnstap.version", dnstap.version);
  if (dnstap.socket.size() <= kSocketPathMax) return;
  settings.Problem("dnstap.socket",
                   absl::StrFormat("dnstap.socket has %d characters; the path of a socket has at "
                                   "most %d",
                                   dnstap.socket.size(), kSocketPathMax));
}

void BuildQueryLog(const Settings& settings, dns::QueryLogOptions& log) {
  settings.Read("query_log.file", log.file);
  settings.Read("query_log.sample", log.sample);
  if (!(log.sample > 0 && log.sample <= 1)) {
    settings.Problem("query_log.sample",
                     absl::StrFormat("query_log.sample is %g; expected a share above 0 and at "
                                     "most 1",
                                     log.sample));
  }
  std::string format = "json";
  settings.Read("query_log.format", format);
  log.format = format == "text" ? dns::QueryLogFormat::kText : dns::QueryLogFormat::kJson;
  if (format == "json" || format == "text") return;
  settings.Problem("query_log.format",
                   absl::StrFormat("query_log.format is \"%s\"; expected json or text", format));
}

}  // namespace

void BuildQueryTaps(const Settings& settings, Config& config) {
  BuildDnstap(settings, config.node_name, config.dns.dnstap);
  BuildQueryLog(settings, config.dns.query_log);
}

void BuildDnsLimits(const Settings& settings, Config& config) {
  DnsConfig& dns = config.dns;
  settings.ReadInt("dns_config.tcp_connections_per_client_max", 0, kIntMax,
                   dns.tcp_connections_per_client_max);
  settings.ReadInt("dns_config.forwards_per_client_max", 1, kIntMax, dns.forwards_per_client_max);
  BuildRateLimit(settings, dns.rate_limit);
}

}  // namespace pharos::agent
