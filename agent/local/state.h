// What is registered at this agent: its services, their checks and the node's own, with what the
// checks say. Values of the thread `checks`.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "agent/config/definition.h"
#include "registry/types.h"

namespace pharos::agent {

// Where a registration came from, and so what takes it away: a reload takes what is no longer in
// the files, the end of a lease what was held by it, and nothing else does but a request.
enum class Source : uint8_t { kConfig, kApi, kLease };

struct LocalService {
  ServiceDefinition definition;
  Source source = Source::kApi;
};

struct LocalCheck {
  CheckDefinition definition;
  Source source = Source::kApi;
  std::string type;  // http, tcp, ttl ... maintenance, lease
  registry::Health status = registry::Health::kCritical;
  std::string output;
  absl::Time critical_since = absl::InfiniteFuture();  // Of a critical one.
};

struct LocalState {
  std::map<std::string, LocalService> services;  // By id.
  std::map<std::string, LocalCheck> checks;      // By id; changed by SetCheck and EraseCheck.
  std::map<std::string, std::set<std::string>> check_ids;  // By the id of their service.

  LocalCheck& SetCheck(LocalCheck check);
  void EraseCheck(const std::string& id);
  const LocalService* FindService(const std::string& id) const;
  // Those of a service, or (of an empty id) of the node, by id.
  std::vector<const LocalCheck*> ChecksOf(const std::string& service_id) const;
};

// The status of a definition; critical where it says none.
registry::Health InitialStatus(const CheckDefinition& definition);

// The checks that put a service, or with an empty id the node, into maintenance.
std::string MaintenanceCheckId(const std::string& service_id);
// The check that says how an instance does that is held by a lease.
std::string LeaseCheckId(const std::string& service_id);
LocalCheck MakeMaintenanceCheck(const std::string& service_id, const std::string& reason);

}  // namespace pharos::agent
