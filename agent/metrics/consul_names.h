// What dashboards made for Consul look for, under Consul's names: the metrics of it that are true
// of an agent as this one is.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "agent/metrics/collect.h"
#include "agent/metrics/families.h"
#include "agent/metrics/gossip_metrics.h"
#include "cluster/catalog_access.h"
#include "dns/server.h"
#include "http/server.h"

namespace pharos::agent {

// `telemetry` of the configuration, and who this is.
struct TelemetryOptions {
  std::string prefix = "consul";  // Of Consul's names.
  std::string host_name;          // In the names of gauges; empty: left out.
  // Beginnings of names with dots, each behind `+` (shown) or `-`; the longest one counts, and
  // without one `filter_default`.
  std::vector<std::string> prefix_filter;
  bool filter_default = true;
  std::string node_name, datacenter;
  bool server = false;
};

// By the filter of `options`, whether a metric is shown.
bool IsShown(const TelemetryOptions& options, std::string_view dotted_name);

// Servers may be null, for none. As the functions of collect.h.
void CollectConsulNames(const TelemetryOptions& options, dns::Server* dns, http::Server* http,
                        const cluster::ConsensusCounters& consensus, const CatalogCounts& catalog,
                        const std::vector<PoolFigures>& pools, Families& families);

}  // namespace pharos::agent
