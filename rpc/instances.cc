#include "rpc/instances.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "http/catalog_read.h"
#include "http/shapes.h"
#include "registry/records.h"
#include "rpc/errors.h"
#include "rpc/validate.h"

namespace pharos::rpc {
namespace {

registry::Include FromMessage(discovery::v1::Include include) {
  switch (include) {
    case discovery::v1::INCLUDE_PASSING:
      return registry::Include::kPassing;
    case discovery::v1::INCLUDE_ALL:
      return registry::Include::kAll;
    default:
      return registry::Include::kHealthy;
  }
}

bool Counts(registry::Health health, registry::Include include) {
  switch (include) {
    case registry::Include::kPassing:
      return health == registry::Health::kPassing;
    case registry::Include::kHealthy:
      return health != registry::Health::kCritical;
    case registry::Include::kAll:
      break;
  }
  return true;
}

bool Fits(const InstanceQuery& query, const registry::Snapshot& snapshot,
          const registry::Instance& instance) {
  if (!Counts(instance.health, query.include)) return false;
  if (query.filter == nullptr) return true;
  const registry::NodeEntry& node = http::EntryOf(snapshot, *instance.node);
  const std::vector<http::CheckView> checks =
      http::ViewsOf(http::ChecksOf(node, *instance.service), instance);
  return query.filter->Matches({instance.node.get(), instance.service.get(), checks});
}

// Each text behind its length, so that no two lists make the same key.
void AppendToKey(std::string_view text, std::string& key) {
  absl::StrAppend(&key, text.size(), ":", std::string(text));
}

}  // namespace

absl::StatusOr<InstanceQuery> MakeInstanceQuery(const discovery::v1::Selector& selector,
                                                const std::string& datacenter) {
  RETURN_IF_ERROR(Validate(selector));
  if (!selector.datacenter().empty() && registry::LowerCase(selector.datacenter()) != datacenter) {
    return WithReason(absl::NotFoundError(
                          absl::StrFormat("selector.datacenter is \"%s\"; this agent knows \"%s\"",
                                          Excerpt(selector.datacenter()), datacenter)),
                      "UNKNOWN_DATACENTER");
  }
  InstanceQuery query;
  query.lower_service = registry::LowerCase(selector.service());
  for (const std::string& tag : selector.tags()) {
    query.scope.tags.push_back(registry::LowerCase(tag));
  }
  std::sort(query.scope.tags.begin(), query.scope.tags.end());
  query.include = FromMessage(selector.include());
  auto filter = http::ParseReadFilter(selector.filter(), http::kHealthServiceSchema);
  if (!filter.ok()) {
    FieldProblems problems;
    problems.Add("selector.filter", selector.filter(),
                 absl::StrCat("a filter expression (", filter.status().message(), ")"));
    return problems.status();
  }
  query.filter = *std::move(filter);
  AppendToKey(query.lower_service, query.key);
  absl::StrAppend(&query.key, static_cast<int>(query.include), ",");
  for (const std::string& tag : query.scope.tags) AppendToKey(tag, query.key);
  query.key += '|';
  query.key += selector.filter();
  return query;
}

std::vector<const registry::Instance*> FindInstances(const InstanceQuery& query,
                                                     const registry::Snapshot& snapshot) {
  std::vector<const registry::Instance*> instances =
      http::InstancesWith(snapshot, query.lower_service, query.scope);
  std::erase_if(instances, [&](const registry::Instance* instance) {
    return !Fits(query, snapshot, *instance);
  });
  return instances;
}

discovery::v1::Health ToMessage(registry::Health health) {
  switch (health) {
    case registry::Health::kPassing:
      return discovery::v1::HEALTH_PASSING;
    case registry::Health::kWarning:
      return discovery::v1::HEALTH_WARNING;
    case registry::Health::kCritical:
      break;
  }
  return discovery::v1::HEALTH_CRITICAL;
}

registry::Health FromMessage(discovery::v1::Health health) {
  switch (health) {
    case discovery::v1::HEALTH_WARNING:
      return registry::Health::kWarning;
    case discovery::v1::HEALTH_CRITICAL:
      return registry::Health::kCritical;
    default:
      return registry::Health::kPassing;
  }
}

void FillInstance(const registry::Instance& instance, discovery::v1::Instance& message) {
  const registry::Node& node = *instance.node;
  const registry::Service& service = *instance.service;
  message.set_id(service.id.str());
  message.set_service(service.name.str());
  message.set_node(node.name);
  message.set_datacenter(node.datacenter.str());
  message.set_address((service.address.empty() ? node.address : service.address).str());
  message.set_port(service.port);
  for (const std::string& tag : service.tags) message.add_tags(tag);
  for (const auto& [key, value] : service.meta) (*message.mutable_meta())[key] = value;
  message.mutable_weights()->set_passing(service.weight_passing);
  message.mutable_weights()->set_warning(service.weight_warning);
  message.set_weight(instance.srv_weight);
  const registry::LocalityView locality = registry::LocalityOf(instance);
  if (!locality.region.empty() || !locality.zone.empty()) {
    message.mutable_locality()->set_region(std::string(locality.region));
    message.mutable_locality()->set_zone(std::string(locality.zone));
  }
  message.set_health(ToMessage(instance.health));
}

void FillSummary(const registry::ServiceEntry& service, discovery::v1::ServiceSummary& message) {
  message.set_name(service.name);
  message.set_instance_count(static_cast<uint32_t>(service.instances.size()));
  message.set_passing_count(static_cast<uint32_t>(service.all.everyone.passing_count()));
  message.set_healthy_count(static_cast<uint32_t>(service.all.everyone.healthy_count()));
  for (const auto& [tag, records] : service.by_tag) message.add_tags(tag);
}

}  // namespace pharos::rpc
