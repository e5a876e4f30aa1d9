// All that an agent counts, read together.
#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "agent/local/local_agent.h"
#include "agent/metrics/consul_names.h"
#include "agent/metrics/families.h"
#include "agent/metrics/gossip_metrics.h"
#include "agent/query_taps.h"
#include "base/clock.h"
#include "cluster/catalog_access.h"
#include "dns/server.h"
#include "http/server.h"

namespace pharos::discovery::v1 {
class GetMetricsResponse;
}
namespace pharos::rpc {
class Server;
}

namespace pharos::agent {

class Metrics {
 public:
  // How long the intervals are that the JSON form tells of.
  static constexpr absl::Duration kInterval = absl::Seconds(10);

  // What is borrowed outlives this, or the next Close.
  Metrics(const cluster::CatalogAccess& consensus, LocalAgent& local, const Clock& clock,
          TelemetryOptions options);

  // Which servers there are and who is told of queries, null for none.
  struct Servers {
    dns::Server* dns = nullptr;
    http::Server* http = nullptr;
    const rpc::Server* grpc = nullptr;
    const QueryTaps* taps = nullptr;
  };
  // From any thread.
  void SetServers(const Servers& servers);

  // From any thread: what the pools counted last is read by it from now on.
  void SetPools(std::function<std::vector<PoolFigures>()> read);

  // From any thread: how parts of catalogs are kept; null: none are.
  void SetParts(const cluster::RemoteCatalogCounters* parts);

  // From any thread but `checks`: what is shown from now on.
  void SetFilter(std::vector<std::string> prefix_filter);

  // On the thread `checks`.
  std::string Text();
  // Adds those of which the name begins so, by name; of durations, their count and sum.
  void List(const std::string& prefix, discovery::v1::GetMetricsResponse& response);
  std::string Json(JsonWriter json);
  // Calls `listener` now and at the end of each interval with its JSON as one line, until it
  // returns false.
  using Listener = std::function<bool(const std::string& line)>;
  void Follow(Listener listener);
  // Ends an interval and begins the next.
  void Tick();

 private:
  Families Collect();

  const cluster::CatalogAccess& consensus_;
  LocalAgent& local_;
  const Clock& clock_;
  const absl::Time started_;
  TelemetryOptions options_;  // Of the thread `checks`.
  // Held while the servers are read, so that none ends meanwhile.
  std::mutex mutex_;
  Servers servers_ ABSL_GUARDED_BY(mutex_);
  std::function<std::vector<PoolFigures>()> read_pools_ ABSL_GUARDED_BY(mutex_);
  const cluster::RemoteCatalogCounters* parts_ ABSL_GUARDED_BY(mutex_) = nullptr;
  // The readings at both ends of the last whole interval; of the thread `checks`.
  Families before_, last_;
  absl::Time interval_end_;
  std::vector<Listener> listeners_;
};

}  // namespace pharos::agent
