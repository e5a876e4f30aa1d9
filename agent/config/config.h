// The agent's configuration as typed values: checked, complete with defaults, and ready for use.
// Keys without a member here are accepted by the schema and have no effect yet.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "agent/config/definition.h"
#include "agent/config/watch.h"
#include "base/cidr.h"
#include "base/ip_address.h"
#include "base/log.h"
#include "cluster/gossip/profile.h"
#include "dns/cookie.h"
#include "dns/name.h"
#include "dns/observer_options.h"
#include "dns/rate_limit.h"
#include "dns/upstream.h"
#include "dns/upstream_list.h"
#include "registry/types.h"

namespace pharos::agent {

// Where a listener listens: an IP address, or a path if `unix_path` is not empty.
struct ListenAddress {
  IpAddress ip;
  std::string unix_path;
};

struct Addresses {
  std::vector<IpAddress> dns;
  std::vector<ListenAddress> http, https, grpc, grpc_tls;
};

// -1: the listener is off.
struct Ports {
  int dns = 8600;
  int http = 8500;
  int https = -1;
  int grpc = -1;
  int grpc_tls = -1;
  int serf_lan = 8301;
  int serf_wan = 8302;
  int server = 8300;
};

// Fields of the zones' SOA record (RFC 1035 section 3.3.13); min_ttl is the negative TTL (RFC
// 2308).
struct SoaConfig {
  uint32_t refresh_s = 3600;
  uint32_t retry_s = 600;
  uint32_t expire_s = 86400;
  uint32_t min_ttl_s = 0;
};

// Where Consul and the standards disagree and clients may depend on either (docs/configuration.md).
enum class DnsProfile : uint8_t { kConsul, kStandard };

struct DnsConfig {
  std::string domain = "consul.";  // Lower case with the final dot, as is alt_domain.
  std::string alt_domain;          // Empty: none.
  std::vector<dns::Upstream> recursors;
  std::vector<dns::ForwardZone> forward_zones;
  dns::RecursorStrategy recursor_strategy = dns::RecursorStrategy::kSequential;
  bool loop_detection = true;
  bool rebind_protection = false;
  absl::Duration recursor_timeout = absl::Seconds(2);           // Of one upstream.
  absl::Duration recursor_deadline = absl::Milliseconds(4500);  // Of all of them.
  std::string recursor_ca_file, recursor_ca_path;  // Both empty: the system's authorities.
  std::vector<Cidr> allow_recursion;               // Loopback and private networks unless given.
  std::vector<dns::Name> rebind_allow;
  absl::Duration node_ttl;
  // Service name, prefix with `*`, or `*`; in the order given. The longest match counts.
  std::vector<std::pair<std::string, absl::Duration>> service_ttl;
  SoaConfig soa;
  bool only_passing = false;
  bool any_datacenter = false;
  bool enable_truncate = false;
  bool disable_compression = false;
  bool enable_additional_node_meta_txt = true;
  int udp_answer_limit = 3;  // Records in a UDP answer to a query without EDNS.
  int a_record_limit = 0;    // Addresses in any answer; 0: no limit.
  bool prefer_near = false;  // `locality`: near instances are shown first.
  int panic_threshold = 0;   // Percent of healthy instances; 0: off.
  // How old a client agent's copy of the catalog may be while no server answers.
  absl::Duration max_stale = absl::Hours(87600);
  int threads = 0;                           // 0: as many as the machine has cores.
  int64_t cache_octets = int64_t{64} << 20;  // Of answers from upstreams, in the whole process.
  int tcp_connections_max = 1024;
  DnsProfile profile = DnsProfile::kConsul;
  std::string nsid;  // What this node says to a question for NSID (RFC 5001); empty: nothing.
  // RFC 7873. Without a secret, one that is made at every start.
  bool cookies = true;
  bool require_cookie = false;
  std::vector<dns::CookieSecret> cookie_secrets;  // The first makes cookies, all are accepted.
  int tcp_connections_per_client_max = 256;       // 0: no limit but the one above.
  int forwards_per_client_max = 256;              // Of each thread.
  dns::RateLimitOptions rate_limit;
  dns::DnstapOptions dnstap;
  dns::QueryLogOptions query_log;
};

struct TlsFiles {
  std::string ca_file, ca_path, cert_file, key_file;
};

struct HttpConfig {
  std::vector<std::string> block_endpoints;        // Path prefixes that are answered 403.
  TextPairs response_headers;                      // Added to every response.
  std::vector<std::string> allow_write_http_from;  // CIDR blocks; empty: from everywhere.
  int head_octets_max = 1 << 20;
  int connections_per_client_max = 200;  // 0: no limit.
  absl::Duration https_handshake_timeout = absl::Seconds(5);
  absl::Duration query_time = absl::Minutes(5);  // That a blocking query waits unless it says.
  absl::Duration query_time_max = absl::Minutes(10);
  bool verify_incoming = false;  // HTTPS clients need a certificate of ours.
  std::string tls_min_version = "tls12";
  std::string tls_cipher_suites;  // Names of IANA for TLS 1.2 and before; empty: OpenSSL's choice.
  bool tls_prefer_server_cipher_suites = false;
  std::string unix_user, unix_group, unix_mode;  // Of Unix sockets.
  bool use_cache = true;                         // Whether ?cached is listened to.
  bool allow_unprintable_paths = false;
  absl::Duration discovery_max_stale;  // Above 0: reads are stale ones unless they say otherwise.
  int threads = 2;
};

struct GrpcConfig {
  TlsFiles tls;                  // Of ports.grpc_tls.
  bool verify_incoming = false;  // Its clients need a certificate of ours.
  // A connection that is silent for so long is pinged, and given up when no answer comes in time.
  absl::Duration keepalive_interval = absl::Milliseconds(400);
  absl::Duration keepalive_timeout = absl::Milliseconds(400);
};

struct ChecksConfig {
  int output_octets_max = 4096;  // What is kept of a check's output.
  bool discard_output = false;
  bool agent_tls = false;  // Checks over TLS show the agent's certificate.
  // How long a change of output alone waits for further ones.
  absl::Duration update_interval = absl::Seconds(3);
};

struct TelemetryConfig {
  std::string metrics_prefix = "consul";
  bool disable_hostname = true;  // Of the names of gauges.
  bool filter_default = true;
  std::vector<std::string> prefix_filter;  // Beginnings of names behind `+` or `-`.
};

// One pool: LAN for the agents of the datacenter, WAN for the servers of all datacenters.
struct PoolConfig {
  IpAddress bind;  // bind_addr unless given.
  gossip::Profile profile;
  std::vector<std::string> start_join, retry_join;
  absl::Duration retry_interval = absl::Seconds(30);
  int retry_max = 0;  // 0: for ever.
  absl::Duration reconnect_timeout = absl::Hours(72);
  std::vector<Cidr> allowed;  // Empty: everybody.
};

struct GossipConfig {
  PoolConfig lan, wan;
  std::string encrypt;  // Base64 of 16, 24 or 32 octets, or empty.
  bool verify_incoming = true, verify_outgoing = true;
  bool keep_keys = true;  // In files below data_dir.
  bool rejoin_after_leave = false;
};

// Names and meanings are those of Consul's autopilot.
struct AutopilotConfig {
  bool cleanup_dead_servers = true;
  absl::Duration last_contact_threshold = absl::Milliseconds(200);
  int max_trailing_logs = 250;
  int min_quorum = 0;
  absl::Duration server_stabilization_time = absl::Seconds(10);
};

// How servers make up a cluster and keep its log.
// What a client agent has of its datacenter's catalog (`catalog_replica`).
enum class CatalogReplica { kFull, kOnDemand };

// Parts of catalogs that are kept as long as they are asked for (`on_demand`).
struct PartsConfig {
  absl::Duration idle_timeout = absl::Minutes(10);
  int topics_max = 4096;
  int64_t octets_max = int64_t{64} << 20;
};

struct ClusterConfig {
  std::vector<std::string> retry_join;  // Addresses or host names, with or without a port.
  int raft_multiplier = 5;              // 1 to 10: of the times of elections.
  absl::Duration hold_timeout = absl::Seconds(7);  // That requests wait for a leader.
  uint32_t snapshot_threshold = 16384;             // Log entries.
  uint32_t trailing_logs = 10240;                  // Log entries kept behind a snapshot.
  AutopilotConfig autopilot;
  CatalogReplica replica = CatalogReplica::kFull;
  std::vector<std::string> prefetch_services;  // Of which an on-demand agent always has all.
  PartsConfig parts;
  TlsFiles tls;  // Between servers.
  bool verify_incoming = false, verify_outgoing = false;
};

struct Config {
  bool dev_mode = false;

  std::string datacenter = "dc1";  // Lower case.
  std::string primary_datacenter;  // The datacenter unless given.
  std::string node_name;           // The host's name unless given.
  std::string node_id;             // Lower-case UUID; empty: kept in, or made for, data_dir.
  TextPairs node_meta;
  registry::Locality locality;
  std::string data_dir;  // Empty in -dev only.
  std::string pid_file;  // Empty: none.

  bool server = false;
  bool bootstrap = false;  // This server elects itself; also set by -dev and bootstrap_expect = 1.
  int bootstrap_expect = 0;  // 2 and up, or 0.
  ClusterConfig cluster;
  bool leave_on_terminate = true;
  bool skip_leave_on_interrupt = false;

  IpAddress bind_addr;  // 0.0.0.0 unless given.
  IpAddress advertise_addr;
  IpAddress advertise_addr_wan;
  TextPairs tagged_addresses;  // lan, lan_ipv4, wan, wan_ipv4 ..., and those given.
  bool translate_wan_addrs = false;
  Addresses addresses;
  Ports ports;

  DnsConfig dns;
  HttpConfig http;
  GrpcConfig grpc;
  ChecksConfig checks_config;
  TlsFiles tls;
  GossipConfig gossip;
  LogOptions log;
  TelemetryConfig telemetry;

  std::vector<ServiceDefinition> services;
  std::vector<CheckDefinition> checks;  // Those not given inside a service.
  std::vector<WatchDefinition> watches;
  bool enable_script_checks = false;
  bool enable_local_script_checks = false;  // Also true where enable_script_checks is.
};

}  // namespace pharos::agent
