#include "agent/config/build_http.h"

#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/cidr.h"

namespace pharos::agent {
namespace {

constexpr int kIntMax = std::numeric_limits<int>::max();
constexpr int kHeadOctetsMin = 1024;
constexpr int kThreadsMax = 256;
constexpr int kOutputOctetsMax = 64 * 1024;

void BuildHttpTls(const Settings& settings, HttpConfig& http) {
  bool everywhere = false;
  settings.Read("verify_incoming", everywhere);
  settings.Read("tls.defaults.verify_incoming", everywhere);
  http.verify_incoming = everywhere;
  settings.Read("tls.https.verify_incoming", http.verify_incoming);
  bool https = false;
  settings.Read("verify_incoming_https", https);
  http.verify_incoming |= https;
  for (const char* path :
       {"tls_min_version", "tls.defaults.tls_min_version", "tls.https.tls_min_version"}) {
    settings.Read(path, http.tls_min_version);
  }
  for (const char* path :
       {"tls_cipher_suites", "tls.defaults.tls_cipher_suites", "tls.https.tls_cipher_suites"}) {
    settings.Read(path, http.tls_cipher_suites);
  }
  settings.Read("tls_prefer_server_cipher_suites", http.tls_prefer_server_cipher_suites);
}

void CheckCidrs(const Settings& settings, const HttpConfig& http) {
  for (const std::string& block : http.allow_write_http_from) {
    if (Cidr::Parse(block)) continue;
    settings.Problem("http_config.allow_write_http_from",
                     absl::StrFormat("http_config.allow_write_http_from: \"%s\" is no block of "
                                     "addresses; expected one such as 10.0.0.0/8",
                                     block));
  }
}

}  // namespace

void BuildHttp(const Settings& settings, Config& config) {
  HttpConfig& http = config.http;
  settings.Read("http_config.block_endpoints", http.block_endpoints);
  settings.Read("http_config.response_headers", http.response_headers);
  settings.Read("http_config.allow_write_http_from", http.allow_write_http_from);
  CheckCidrs(settings, http);
  int head_octets_max = 0;  // 0: ours.
  settings.ReadInt("http_config.max_header_bytes", 0, kIntMax, head_octets_max);
  if (head_octets_max > 0) http.head_octets_max = std::max(head_octets_max, kHeadOctetsMin);
  settings.Read("http_config.use_cache", http.use_cache);
  settings.Read("disable_http_unprintable_char_filter", http.allow_unprintable_paths);
  settings.Read("discovery_max_stale", http.discovery_max_stale);
  settings.ReadInt("http_config.threads", 1, kThreadsMax, http.threads);
  settings.ReadInt("limits.http_max_conns_per_client", 0, kIntMax, http.connections_per_client_max);
  settings.Read("limits.https_handshake_timeout", http.https_handshake_timeout);
  settings.Read("default_query_time", http.query_time);
  settings.Read("max_query_time", http.query_time_max);
  settings.Read("unix_sockets.user", http.unix_user);
  settings.Read("unix_sockets.group", http.unix_group);
  settings.Read("unix_sockets.mode", http.unix_mode);
  BuildHttpTls(settings, http);

  ChecksConfig& checks = config.checks_config;
  settings.ReadInt("check_output_max_size", 1, kOutputOctetsMax, checks.output_octets_max);
  settings.Read("discard_check_output", checks.discard_output);
  settings.Read("check_update_interval", checks.update_interval);
  settings.Read("enable_agent_tls_for_checks", checks.agent_tls);
}

}  // namespace pharos::agent
