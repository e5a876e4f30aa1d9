#include "agent/config/build_cluster.h"

#include <limits>
#include <string>

#include "absl/strings/str_cat.h"

namespace pharos::agent {
namespace {

constexpr int kTopicsMax = 65'536;
constexpr int64_t kOctetsLeast = int64_t{1} << 20;
constexpr int64_t kOctetsMost = int64_t{16} << 30;
constexpr int64_t kIntMax = std::numeric_limits<int32_t>::max();

// Files and rules of TLS between servers: those of all, or their own.
void BuildInternalTls(const Settings& settings, ClusterConfig& cluster) {
  const auto read = [&settings](std::string_view name, auto& target) {
    for (const char* where : {"", "tls.defaults.", "tls.internal_rpc."}) {
      settings.Read(absl::StrCat(where, std::string(name)), target);
    }
  };
  read("ca_file", cluster.tls.ca_file);
  read("cert_file", cluster.tls.cert_file);
  read("key_file", cluster.tls.key_file);
  read("verify_incoming", cluster.verify_incoming);
  read("verify_outgoing", cluster.verify_outgoing);
  bool rpc = false;
  settings.Read("verify_incoming_rpc", rpc);
  cluster.verify_incoming |= rpc;
}

void BuildReplica(const Settings& settings, const Config& config, ClusterConfig& cluster) {
  std::string replica = "full";
  settings.Read("catalog_replica", replica);
  if (replica != "full" && replica != "on-demand") {
    settings.Problem("catalog_replica", absl::StrCat("catalog_replica is \"", replica,
                                                     "\"; expected \"full\" or \"on-demand\""));
  } else if (replica == "on-demand" && (config.server || config.dev_mode)) {
    settings.Problem(
        "catalog_replica",
        "catalog_replica is \"on-demand\", and this agent is a server, which has all of "
        "the catalog; expected \"full\", or server = false");
  } else if (replica == "on-demand") {
    cluster.replica = CatalogReplica::kOnDemand;
  }
  settings.Read("prefetch_services", cluster.prefetch_services);
  settings.Read("on_demand.idle_timeout", cluster.parts.idle_timeout);
  settings.ReadInt("on_demand.max_topics", 1, kTopicsMax, cluster.parts.topics_max);
  settings.ReadInt("on_demand.max_bytes", kOctetsLeast, kOctetsMost, cluster.parts.octets_max);
}

}  // namespace

void BuildCluster(const Settings& settings, Config& config) {
  ClusterConfig& cluster = config.cluster;
  settings.Read("start_join", cluster.retry_join);
  settings.Read("retry_join", cluster.retry_join);
  settings.ReadInt("performance.raft_multiplier", 1, 10, cluster.raft_multiplier);
  settings.Read("performance.rpc_hold_timeout", cluster.hold_timeout);
  settings.ReadInt("raft_snapshot_threshold", 1, kIntMax, cluster.snapshot_threshold);
  settings.ReadInt("raft_trailing_logs", 1, kIntMax, cluster.trailing_logs);
  settings.Read("autopilot.cleanup_dead_servers", cluster.autopilot.cleanup_dead_servers);
  settings.Read("autopilot.last_contact_threshold", cluster.autopilot.last_contact_threshold);
  settings.ReadInt("autopilot.max_trailing_logs", 0, kIntMax, cluster.autopilot.max_trailing_logs);
  settings.ReadInt("autopilot.min_quorum", 0, kIntMax, cluster.autopilot.min_quorum);
  settings.Read("autopilot.server_stabilization_time", cluster.autopilot.server_stabilization_time);
  BuildReplica(settings, config, cluster);
  BuildInternalTls(settings, cluster);
}

}  // namespace pharos::agent
