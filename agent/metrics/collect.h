// Reads what the parts of an agent counted. Each function adds its metrics to `families`; all of
// them are in docs/metrics.md.
#pragma once

#include "absl/time/time.h"
#include "agent/local/local_agent.h"
#include "agent/metrics/families.h"
#include "agent/query_taps.h"
#include "cluster/catalog_access.h"
#include "cluster/remote_catalog.h"
#include "dns/server.h"
#include "http/server.h"
#include "rpc/counters.h"

namespace pharos::agent {

// How much the catalog holds.
struct CatalogCounts {
  uint64_t nodes = 0, services = 0, instances = 0;
};

// From a thread that is neither the servers' nor blocks them: each is asked on its own threads.
void CollectDns(dns::Server& dns, Families& families);
void CollectHttp(http::Server& http, Families& families);
// From any thread.
void CollectGrpc(const rpc::RpcCounters& counters, Families& families);
void CollectParts(const cluster::RemoteCatalogCounters& counters, Families& families);
void CollectTaps(const TapCounts& counts, Families& families);
CatalogCounts CollectCatalog(const cluster::CatalogAccess& consensus, absl::Time now,
                             Families& families);
void CollectProcess(absl::Time started, Families& families);
// On the thread `checks`.
void CollectLocal(const LocalAgent& local, absl::Time now, Families& families);

}  // namespace pharos::agent
