// The agent: its parts, put together as code. Start reading here for how they meet.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/api/agent_api.h"
#include "agent/config/config.h"
#include "agent/config/load.h"
#include "agent/dns_cache.h"
#include "agent/gossip.h"
#include "agent/grpc_registrar.h"
#include "agent/local/local_agent.h"
#include "agent/metrics/metrics.h"
#include "agent/query_taps.h"
#include "agent/user_events.h"
#include "agent/watches.h"
#include "base/clock.h"
#include "base/ip_address.h"
#include "cluster/catalog_access.h"
#include "cluster/consensus.h"
#include "cluster/gossip_catalog.h"
#include "cluster/remote_catalog.h"
#include "cluster/replica.h"
#include "cluster/wan_paths.h"
#include "dns/server.h"
#include "dns/worker.h"
#include "http/api.h"
#include "http/forward.h"
#include "http/server.h"
#include "rpc/server.h"

namespace pharos::agent {

// All calls on the main thread.
class Agent {
 public:
  // Registers this node and its services, then answers DNS: whoever gets an answer gets the whole
  // one. An error leaves nothing running.
  static absl::StatusOr<std::unique_ptr<Agent>> Start(LoadedConfig loaded);
  // Stops answering, then everything else, in the opposite order of the start.
  ~Agent();

  // Takes on what a reload may change; what needs a restart is said in the log. An error (in words
  // for the operator) leaves everything as it was.
  absl::Status Reload(LoadedConfig loaded);

  // From any thread: a reload is asked for by SIGHUP to this process, and `done` told of the next
  // one.
  void RequestReload(std::function<void(absl::Status)> done);
  // Those who asked for a reload and are to be told how it went: taken before it begins, as what it
  // reads may be older than what those want who ask meanwhile.
  std::vector<std::function<void(absl::Status)>> TakeReloads();
  // From any thread: asks for the end by SIGTERM to this process, as one that leaves its cluster.
  void RequestLeave();
  bool leave_wanted() const { return leave_wanted_; }
  bool left() const { return left_; }
  // Leaves the servers' cluster and the pools, and waits until that is done.
  void Leave();
  // Why the agent cannot go on; OK while it can. It then asks for its end by SIGTERM to this
  // process.
  absl::Status failure();
  // Where it gossips; port 0: it does not.
  SocketAddress lan_address() const;
  SocketAddress wan_address() const;

  // Says in the log what was started.
  void LogStarted() const;
  // One line of the log for each thing that is counted.
  void LogMetrics();

  // Where further changes of the catalog are proposed.
  cluster::CatalogAccess& consensus() { return *consensus_; }
  const std::string& node_id() const { return node_id_; }
  // Where DNS is answered.
  std::vector<SocketAddress> dns_addresses() const;
  // Where HTTP and HTTPS are.
  std::vector<http::Listen> http_addresses() const;

 private:
  Agent() = default;
  absl::Status StartParts();
  // Takes a server out of its cluster; what fails is said in the log.
  void LeaveCluster();
  absl::Status StartCatalog();
  absl::Status StartGossip();
  http::ApiContext MakeApiContext();
  dns::RemoteSource MakeRemoteSource(Loop& loop);
  // How far what is published may be believed.
  const registry::SharedFreshness* catalog_freshness() const;
  void OnWanMember(const gossip::MemberEvent& event);
  // Tells the replica of servers that come and go.
  void OnMember(const gossip::MemberEvent& event);
  absl::Status StartDns();
  absl::Status StartHttp();
  absl::Status StartGrpc();
  // On the thread `gossip`.
  void OnServers(const std::vector<PoolServer>& servers);
  void OnUserEvent(const gossip::UserEvent& event);
  // Any thread: what DNS answers by from now on; null before it is served.
  std::shared_ptr<const dns::AnswerConfig> answer_config();
  void SetAnswerConfig(std::shared_ptr<const dns::AnswerConfig> config);
  // As the coordinates of the pool's nodes estimate them; null without a pool.
  std::function<dns::RoundTrips(const std::string&)> RoundTripsByGossip();
  // Gives every worker the observers it is to have now.
  void InstallTaps();

  LoadedConfig loaded_;
  std::string node_id_;
  dns::CookieSecret cookie_seed_{};  // Kept over reloads, so that clients' cookies stay valid.
  RealClock clock_;
  std::unique_ptr<cluster::CatalogAccess> consensus_;
  // Which of the two that is, or stands behind it; the other is null.
  cluster::Consensus* server_ = nullptr;
  cluster::Replica* replica_ = nullptr;
  std::unique_ptr<cluster::WanPaths> wan_paths_;    // Of a server.
  std::shared_ptr<cluster::RemoteCatalog> remote_;  // Also the catalog's where that is on demand.
  std::unique_ptr<http::ForwardedRequests> forwarded_;  // Of a server.
  std::unique_ptr<LocalAgent> local_;
  UserEvents events_;
  std::unique_ptr<Gossip> gossip_;  // Null: no pool.
  std::unique_ptr<cluster::GossipCatalog> gossip_catalog_;
  std::unique_ptr<Metrics> metrics_;
  DnsCache dns_cache_;
  std::unique_ptr<AgentApi> api_;
  std::unique_ptr<QueryTaps> taps_;  // Null without DNS.
  std::unique_ptr<dns::Server> dns_;
  std::atomic<bool> leave_wanted_ = false, left_ = false;
  std::mutex mutex_;
  std::shared_ptr<const dns::AnswerConfig> answer_config_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::function<void(absl::Status)>> reloads_ ABSL_GUARDED_BY(mutex_);
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  // Read on the thread `gossip`; null before it may be used, and after.
  cluster::GossipCatalog* catalog_of_gossip_ ABSL_GUARDED_BY(mutex_) = nullptr;
  http::CacheMarks cache_marks_;
  std::unique_ptr<http::Server> http_;
  std::unique_ptr<GrpcRegistrar> registrar_;
  std::unique_ptr<rpc::Server> grpc_;
  std::unique_ptr<Watches> watches_;
};

}  // namespace pharos::agent
