// All that an agent counts, read together.
#pragma once

#include <mutex>
#include <string>

#include "absl/base/thread_annotations.h"
#include "agent/local/local_agent.h"
#include "agent/metrics/families.h"
#include "agent/query_taps.h"
#include "base/clock.h"
#include "cluster/consensus.h"
#include "dns/server.h"
#include "http/server.h"

namespace pharos::agent {

class Metrics {
 public:
  // How long the intervals are that the JSON form tells of.
  static constexpr absl::Duration kInterval = absl::Seconds(10);

  // What is borrowed outlives this, or the next Close.
  Metrics(const cluster::Consensus& consensus, LocalAgent& local, const Clock& clock);

  // From any thread: which servers there are and who is told of queries, null for none.
  void SetServers(dns::Server* dns, http::Server* http, const QueryTaps* taps);

  // On the thread `checks`.
  std::string Text();
  std::string Json(JsonWriter json);
  // Ends an interval and begins the next.
  void Tick();

 private:
  Families Collect();

  const cluster::Consensus& consensus_;
  LocalAgent& local_;
  const Clock& clock_;
  const absl::Time started_;
  // Held while the servers are read, so that none ends meanwhile.
  std::mutex mutex_;
  dns::Server* dns_ ABSL_GUARDED_BY(mutex_) = nullptr;
  http::Server* http_ ABSL_GUARDED_BY(mutex_) = nullptr;
  const QueryTaps* taps_ ABSL_GUARDED_BY(mutex_) = nullptr;
  // The readings at both ends of the last whole interval; of the thread `checks`.
  Families before_, last_;
  absl::Time interval_end_;
};

}  // namespace pharos::agent
