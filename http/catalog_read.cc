#include "http/catalog_read.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "base/check.h"
#include "registry/prepared_query.h"
#include "registry/records.h"

namespace pharos::http {
namespace {

constexpr size_t kUuidOctets = 36;

bool Fits(const registry::Instance& instance, const ReadScope& scope) {
  return HasMeta(*instance.node, scope.node_meta) && HasTags(*instance.service, scope.tags);
}

std::vector<const registry::Instance*> Fitting(const registry::ServiceEntry* service,
                                               const ReadScope& scope) {
  std::vector<const registry::Instance*> instances;
  if (service == nullptr) return instances;
  for (const auto& instance : service->instances) {
    if (Fits(*instance, scope)) instances.push_back(instance.get());
  }
  return instances;
}

}  // namespace

bool HasMeta(const registry::Node& node, const TextPairs& wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&node](const auto& pair) {
    return std::binary_search(node.meta.begin(), node.meta.end(), pair);
  });
}

bool HasTags(const registry::Service& service, const std::vector<std::string>& wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&service](const std::string& tag) {
    return std::any_of(service.tags.begin(), service.tags.end(),
                       [&tag](const std::string& has) { return absl::EqualsIgnoreCase(has, tag); });
  });
}

std::vector<const registry::NodeEntry*> NodesWith(const registry::Snapshot& snapshot,
                                                  const TextPairs& meta) {
  std::vector<const registry::NodeEntry*> nodes;
  snapshot.ForEachNode([&](const registry::NodeEntry& entry) {
    if (HasMeta(*entry.node, meta)) nodes.push_back(&entry);
  });
  std::sort(nodes.begin(), nodes.end(), [](const auto* a, const auto* b) {
    return registry::LessIgnoringCase(a->node->name, b->node->name);
  });
  return nodes;
}

std::vector<const registry::Instance*> InstancesWith(const registry::Snapshot& snapshot,
                                                     const std::string& lower_service,
                                                     const ReadScope& scope) {
  return Fitting(snapshot.FindService(lower_service), scope);
}

std::vector<const registry::Instance*> ConnectInstancesWith(const registry::Snapshot& snapshot,
                                                            const std::string& lower_service,
                                                            const ReadScope& scope) {
  return Fitting(snapshot.FindConnect(lower_service), scope);
}

std::vector<const registry::Instance*> IngressInstancesWith(const registry::Snapshot& snapshot,
                                                            const std::string& lower_service,
                                                            const ReadScope& scope) {
  std::vector<const registry::Instance*> instances;
  for (const registry::Instance* instance : registry::IngressInstances(snapshot, lower_service)) {
    if (Fits(*instance, scope)) instances.push_back(instance);
  }
  return instances;
}

void CountServiceQuery(Api& api, AskedIn asked_in, const std::string& service,
                       const ReadScope& scope) {
  bool found = false;
  {
    const Published<registry::Snapshot>::ReadGuard snapshot(api.context().consensus.published());
    if (const auto* entry = snapshot->FindService(registry::LowerCase(service))) {
      found = std::any_of(entry->instances.begin(), entry->instances.end(),
                          [&scope](const auto& instance) {
                            return HasMeta(*instance->node, scope.node_meta) &&
                                   HasTags(*instance->service, scope.tags);
                          });
    }
  }
  api.service_queries().Add(asked_in, service, scope.tags, found);
}

const registry::NodeEntry& EntryOf(const registry::Snapshot& snapshot, const registry::Node& node) {
  const registry::NodeEntry* entry = snapshot.FindNode(registry::LowerCase(node.name));
  CHECK(entry != nullptr);  // An instance's node is in the same snapshot.
  return *entry;
}

std::vector<CheckView> ViewsOf(const std::vector<const registry::HealthCheck*>& checks,
                               const registry::Instance& instance) {
  static const std::vector<std::string> kNone;
  std::vector<CheckView> views;
  views.reserve(checks.size());
  for (const registry::HealthCheck* check : checks) {
    views.push_back({check, instance.node->name,
                     check->service_id.empty() ? kNone : instance.service->tags.get()});
  }
  return views;
}

const registry::NodeEntry* FindNodeByNameOrId(const registry::Snapshot& snapshot,
                                              const std::string& name_or_id) {
  const std::string lower = registry::LowerCase(name_or_id);
  const registry::NodeEntry* found = snapshot.FindNode(lower);
  if (found != nullptr || lower.size() != kUuidOctets) return found;
  snapshot.ForEachNode([&](const registry::NodeEntry& entry) {
    if (registry::CompareIgnoringCase(entry.node->id, lower) == 0) found = &entry;
  });
  return found;
}

}  // namespace pharos::http
