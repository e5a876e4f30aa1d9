#include "agent/local/state.h"

namespace pharos::agent {
namespace {

constexpr const char* kNodeReason =
    "Maintenance mode is enabled for this node, but no reason was provided. This is a default "
    "message.";
constexpr const char* kServiceReason =
    "Maintenance mode is enabled for this service, but no reason was provided. This is a default "
    "message.";

}  // namespace

const LocalService* LocalState::FindService(const std::string& id) const {
  const auto found = services.find(id);
  return found == services.end() ? nullptr : &found->second;
}

LocalCheck& LocalState::SetCheck(LocalCheck check) {
  const std::string id = check.definition.id;
  EraseCheck(id);
  check_ids[check.definition.service_id].insert(id);
  return checks[id] = std::move(check);
}

void LocalState::EraseCheck(const std::string& id) {
  const auto found = checks.find(id);
  if (found == checks.end()) return;
  const auto ids = check_ids.find(found->second.definition.service_id);
  ids->second.erase(id);
  if (ids->second.empty()) check_ids.erase(ids);
  checks.erase(found);
}

std::vector<const LocalCheck*> LocalState::ChecksOf(const std::string& service_id) const {
  std::vector<const LocalCheck*> found;
  const auto ids = check_ids.find(service_id);
  if (ids == check_ids.end()) return found;
  for (const std::string& id : ids->second) found.push_back(&checks.find(id)->second);
  return found;
}

registry::Health InitialStatus(const CheckDefinition& definition) {
  if (definition.status == "passing") return registry::Health::kPassing;
  if (definition.status == "warning") return registry::Health::kWarning;
  return registry::Health::kCritical;
}

std::string MaintenanceCheckId(const std::string& service_id) {
  return service_id.empty() ? "_node_maintenance" : "_service_maintenance:" + service_id;
}

std::string LeaseCheckId(const std::string& service_id) { return "lease:" + service_id; }

LocalCheck MakeMaintenanceCheck(const std::string& service_id, const std::string& reason) {
  LocalCheck check;
  check.definition.id = MaintenanceCheckId(service_id);
  check.definition.name = service_id.empty() ? "Node Maintenance Mode" : "Service Maintenance Mode";
  check.definition.service_id = service_id;
  check.definition.notes = !reason.empty()      ? reason
                           : service_id.empty() ? kNodeReason
                                                : kServiceReason;
  check.type = "maintenance";
  return check;
}

}  // namespace pharos::agent
