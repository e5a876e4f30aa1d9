#include "agent/http_setup.h"

#include <utility>

#include "http/api.h"

namespace pharos::agent {
namespace {

void AddListeners(const std::vector<ListenAddress>& addresses, int port, bool tls,
                  std::vector<http::Listen>& listen) {
  for (const ListenAddress& address : addresses) {
    http::Listen at;
    at.unix_path = address.unix_path;
    at.address = {.ip = address.ip, .port = static_cast<uint16_t>(port)};
    at.tls = tls;
    listen.push_back(std::move(at));
  }
}

}  // namespace

http::TlsOptions MakeHttpTlsOptions(const Config& config) {
  http::TlsOptions tls;
  tls.cert_file = config.tls.cert_file;
  tls.key_file = config.tls.key_file;
  tls.ca_file = config.tls.ca_file;
  tls.ca_path = config.tls.ca_path;
  tls.verify_clients = config.http.verify_incoming;
  tls.min_version = config.http.tls_min_version;
  tls.cipher_suites = config.http.tls_cipher_suites;
  tls.prefer_server_cipher_suites = config.http.tls_prefer_server_cipher_suites;
  return tls;
}

http::ServerOptions MakeHttpOptions(const Config& config) {
  http::ServerOptions options;
  const bool has_certificate = !config.tls.cert_file.empty() && !config.tls.key_file.empty();
  if (config.ports.http > 0) {
    AddListeners(config.addresses.http, config.ports.http, false, options.listen);
  }
  if (config.ports.https > 0 && has_certificate) {
    AddListeners(config.addresses.https, config.ports.https, true, options.listen);
    options.tls = MakeHttpTlsOptions(config);
  }
  options.unix_sockets = {.user = config.http.unix_user,
                          .group = config.http.unix_group,
                          .mode = config.http.unix_mode};
  options.threads = config.http.threads;
  options.handshake_timeout = config.http.https_handshake_timeout;
  options.head_octets_max = static_cast<size_t>(config.http.head_octets_max);
  options.large_path = http::kSnapshotPath;
  options.connections_per_client_max = config.http.connections_per_client_max;
  options.response_headers = config.http.response_headers;
  return options;
}

http::ReadDefaults MakeReadDefaults(const Config& config) {
  return {.datacenter = config.datacenter,
          .wait = config.http.query_time,
          .wait_max = config.http.query_time_max,
          .pretty = config.dev_mode,
          .use_cache = config.http.use_cache,
          .stale = config.http.discovery_max_stale > absl::ZeroDuration(),
          .translate = config.translate_wan_addrs};
}

http::RouterOptions MakeRouterOptions(const Config& config) {
  http::RouterOptions options;
  options.block_endpoints = config.http.block_endpoints;
  options.allow_unprintable = config.http.allow_unprintable_paths;
  for (const std::string& block : config.http.allow_write_http_from) {
    options.allow_writes_from.push_back(*Cidr::Parse(block));
  }
  return options;
}

}  // namespace pharos::agent
