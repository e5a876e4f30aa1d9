#include "agent/cluster_setup.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "agent/version.h"
#include "base/ip_address.h"
#include "cluster/gossip_tags.h"
#include "registry/records.h"
#include "registry/remote_catalogs.h"

namespace pharos::agent {
namespace {

// Of one step of raft_multiplier, whose default is 5; below the least, a busy machine alone would
// make servers take each other for dead.
constexpr uint32_t kElectionStepMs = 100;
constexpr uint32_t kElectionLeastMs = 300;
constexpr uint32_t kHeartbeatsInElection = 5;
// What gossip has to find servers in before those of retry_join are asked.
constexpr absl::Duration kGossipTakes = absl::Seconds(2);
// The same for other datacenters, before they are said not to exist.
constexpr absl::Duration kWanJoinTakes = absl::Minutes(10);

// A certificate alone is for HTTPS; between servers TLS is spoken when something is to be verified.
cluster::PeerTls MakePeerTls(const ClusterConfig& config) {
  if (!config.verify_incoming && !config.verify_outgoing) return {};
  return {.ca_file = config.tls.ca_file,
          .cert_file = config.tls.cert_file,
          .key_file = config.tls.key_file,
          .verify_incoming = config.verify_incoming,
          .verify_outgoing = config.verify_outgoing};
}

}  // namespace

std::string JoinAddress(const std::string& given, const Ports& ports) {
  std::string host = given, port;
  const size_t bracket = given.rfind(']');
  const size_t colon = given.rfind(':');
  const bool bare_v6 =
      bracket == std::string::npos && std::count(given.begin(), given.end(), ':') > 1;
  if (colon != std::string::npos && !bare_v6 && (bracket == std::string::npos || colon > bracket)) {
    host = given.substr(0, colon);
    port = given.substr(colon + 1);
  }
  if (bare_v6) host = absl::StrCat("[", given, "]");
  if (port.empty() || port == absl::StrCat(ports.serf_lan)) port = absl::StrCat(ports.server);
  return absl::StrCat(host, ":", port);
}

bool IsOnDemand(const Config& config) {
  return IsClient(config) && config.cluster.replica == CatalogReplica::kOnDemand;
}

bool IsClient(const Config& config) { return !config.server && !config.dev_mode; }

std::optional<std::string> ServerAddressOf(const gossip::Member& member) {
  int port = 0;
  if (member.Tag(cluster::kRoleTag) != cluster::kRole || member.Tag(cluster::kServerTag) != "1" ||
      !absl::SimpleAtoi(member.Tag("port"), &port) || port <= 0 || port > 65535) {
    return std::nullopt;
  }
  return SocketAddress{.ip = member.address.ip, .port = static_cast<uint16_t>(port)}.ToString();
}

cluster::ReplicaOptions MakeReplicaOptions(const Config& config) {
  cluster::ReplicaOptions options;
  options.datacenter = config.datacenter;
  options.node_name = config.node_name;
  options.data_dir = config.data_dir;
  for (const std::string& join : config.cluster.retry_join) {
    options.join.push_back(JoinAddress(join, config.ports));
  }
  options.join_after = config.ports.serf_lan > 0 ? kGossipTakes : absl::ZeroDuration();
  options.tls = MakePeerTls(config.cluster);
  options.hold = config.cluster.hold_timeout;
  options.max_stale = config.dns.max_stale;
  options.pulses_only = IsOnDemand(config);
  return options;
}

cluster::RemoteCatalogOptions MakeRemoteOptions(const Config& config) {
  cluster::RemoteCatalogOptions options;
  options.datacenter = config.datacenter;
  options.tls = MakePeerTls(config.cluster);
  options.translate = config.translate_wan_addrs;
  options.max_stale = config.dns.max_stale;
  options.idle = config.cluster.parts.idle_timeout;
  const PoolConfig& wan = config.gossip.wan;
  if (config.server && !(wan.retry_join.empty() && wan.start_join.empty())) {
    options.settle = kWanJoinTakes;
  }
  options.parts_max = static_cast<size_t>(config.cluster.parts.topics_max);
  options.octets_max = static_cast<size_t>(config.cluster.parts.octets_max);
  if (IsClient(config)) options.data_dir = config.data_dir;
  if (!IsOnDemand(config)) return options;
  options.own = true;
  options.own_always.push_back(registry::WholeNodePart(registry::LowerCase(config.node_name)));
  for (const std::string& service : config.cluster.prefetch_services) {
    options.own_always.push_back(registry::ServicePart(registry::LowerCase(service)));
  }
  return options;
}

cluster::ConsensusOptions MakeConsensusOptions(const Config& config, const std::string& node_id) {
  cluster::ConsensusOptions options;
  options.datacenter = config.datacenter;
  options.node_name = config.node_name;
  options.node_id = node_id;
  options.version = kVersion;
  options.hold = config.cluster.hold_timeout;
  options.election_timeout_ms = std::max(
      kElectionLeastMs, kElectionStepMs * static_cast<uint32_t>(config.cluster.raft_multiplier));
  options.heartbeat_ms = options.election_timeout_ms / kHeartbeatsInElection;
  options.snapshot_entries = config.cluster.snapshot_threshold;
  options.trailing_entries = config.cluster.trailing_logs;
  const AutopilotConfig& autopilot = config.cluster.autopilot;
  options.autopilot = {
      .cleanup_dead_servers = autopilot.cleanup_dead_servers,
      .last_contact_threshold = autopilot.last_contact_threshold,
      .max_trailing_logs = static_cast<uint64_t>(autopilot.max_trailing_logs),
      .min_quorum = static_cast<uint32_t>(autopilot.min_quorum),
      .server_stabilization_time = autopilot.server_stabilization_time,
  };
  if (!config.server) return options;
  if (config.data_dir.empty() && config.ports.server > 0) {
    const auto port = static_cast<uint16_t>(config.ports.server);
    options.listen = SocketAddress{.ip = config.bind_addr, .port = port}.ToString();
    options.tls = MakePeerTls(config.cluster);
    options.alone = true;
  }
  if (config.ports.server > 0) {
    const auto port = static_cast<uint16_t>(config.ports.server);
    options.address = SocketAddress{.ip = config.advertise_addr, .port = port}.ToString();
  }
  if (config.data_dir.empty()) return options;
  options.data_dir = config.data_dir;
  if (config.ports.server > 0) {
    const auto port = static_cast<uint16_t>(config.ports.server);
    options.listen = SocketAddress{.ip = config.bind_addr, .port = port}.ToString();
    // Else the pool is joined, and tells of the servers in it.
    if (config.ports.serf_lan <= 0) {
      for (const std::string& join : config.cluster.retry_join) {
        options.join.push_back(JoinAddress(join, config.ports));
      }
    }
  }
  options.tls = MakePeerTls(config.cluster);
  options.bootstrap = config.bootstrap;
  options.bootstrap_expect = config.bootstrap_expect;
  return options;
}

}  // namespace pharos::agent
