// Instances of the catalog as clients of gRPC get them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "http/filter/record_schemas.h"
#include "http/read_filter.h"
#include "http/read_options.h"
#include "proto/discovery.pb.h"
#include "registry/snapshot.h"

namespace pharos::rpc {

// A selector, checked and ready to be asked of snapshots. Immutable.
struct InstanceQuery {
  std::string lower_service;
  http::ReadScope scope;
  registry::Include include = registry::Include::kHealthy;
  http::ReadFilter<http::HealthServiceView> filter;
  std::string key;  // The same for queries that always have the same answer.
};

// InvalidArgument for what Validate finds and for a filter that is none; NotFound for a datacenter
// other than `datacenter`.
absl::StatusOr<InstanceQuery> MakeInstanceQuery(const discovery::v1::Selector& selector,
                                                const std::string& datacenter);

// Those that fit, by node name and id in lower case. Borrows from the snapshot.
std::vector<const registry::Instance*> FindInstances(const InstanceQuery& query,
                                                     const registry::Snapshot& snapshot);

void FillInstance(const registry::Instance& instance, discovery::v1::Instance& message);
discovery::v1::Health ToMessage(registry::Health health);
registry::Health FromMessage(discovery::v1::Health health);

void FillSummary(const registry::ServiceEntry& service, discovery::v1::ServiceSummary& message);

}  // namespace pharos::rpc
