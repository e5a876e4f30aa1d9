// /v1/health: instances with their checks.

#include <algorithm>
#include <string>

#include "base/status_macros.h"
#include "http/api.h"
#include "http/catalog_read.h"
#include "http/filter/record_schemas.h"
#include "http/read_filter.h"
#include "http/shapes.h"
#include "registry/records.h"

namespace pharos::http {
namespace {

using registry::HealthCheck;
using registry::Instance;
using registry::NodeEntry;
using registry::Snapshot;

// The tags of a check's service; of a check of a node, and of a service that is gone, none.
const std::vector<std::string>& TagsOf(const NodeEntry& node, const HealthCheck& check) {
  static const std::vector<std::string> kNone;
  if (check.service_id.empty()) return kNone;
  const std::string wanted = registry::LowerCase(check.service_id);
  const auto found = std::lower_bound(
      node.services.begin(), node.services.end(), wanted,
      [](const registry::Ref<const registry::Service>& service, const std::string& id) {
        return registry::LessIgnoringCase(service->id, id);
      });
  const bool there = found != node.services.end() && registry::LowerCase((*found)->id) == wanted;
  return there ? (*found)->tags.get() : kNone;
}

// Writes those checks of a node that `takes` says and the filter lets through.
template <typename Takes>
void WriteChecksOf(const NodeEntry& node, const ReadFilter<CheckView>& filter, Takes takes,
                   JsonWriter& json) {
  for (const auto& check : node.checks) {
    if (!takes(*check)) continue;
    const std::vector<std::string>& tags = TagsOf(node, *check);
    if (!Fits(filter, CheckView{check.get(), node.node->name, tags})) continue;
    WriteCheck(*check, node.node->name, tags, json);
  }
}

absl::StatusOr<Reading> ReadNodeChecks(const Request&, const ReadOptions& options,
                                       const std::string& name) {
  if (name.empty()) return absl::InvalidArgumentError("Missing node name");
  ASSIGN_OR_RETURN(const auto filter, ParseReadFilter(options.filter, kCheckSchema));
  const std::string lower_name = registry::LowerCase(name);
  return Reading{.topics = {NodeTopic(lower_name)},
                 .index =
                     [lower_name](const Snapshot& snapshot) {
                       const NodeEntry* node = snapshot.FindNode(lower_name);
                       return node == nullptr ? snapshot.nodes_index() : node->modify_index;
                     },
                 .write =
                     [filter, lower_name](const Snapshot& snapshot, JsonWriter& json) {
                       json.BeginArray();
                       if (const NodeEntry* node = snapshot.FindNode(lower_name)) {
                         WriteChecksOf(
                             *node, filter, [](const HealthCheck&) { return true; }, json);
                       }
                       json.EndArray();
                       return absl::OkStatus();
                     }};
}

absl::StatusOr<Reading> ReadServiceChecks(const Api& api, const ReadOptions& options,
                                          const std::string& name) {
  if (name.empty()) return absl::InvalidArgumentError("Missing service name");
  ASSIGN_OR_RETURN(const auto filter, ParseReadFilter(options.filter, kCheckSchema));
  const std::string lower_name = registry::LowerCase(name);
  return Reading{
      .topics = {ServiceTopic(lower_name)},
      .index = [lower_name](const Snapshot& snapshot) { return snapshot.ServiceIndex(lower_name); },
      .write =
          [&api, filter, lower_name, near = options.near, scope = ReadScope(options)](
              const Snapshot& snapshot, JsonWriter& json) {
            std::vector<const Instance*> instances = InstancesWith(snapshot, lower_name, scope);
            api.context().DistancesFrom(near).Sort(
                instances, [](const auto* instance) -> const auto& { return *instance->node; });
            json.BeginArray();
            for (const Instance* instance : instances) {
              const NodeEntry& node = EntryOf(snapshot, *instance->node);
              for (const HealthCheck* check : ChecksOf(node, *instance->service)) {
                if (check->service_id.empty()) continue;
                const CheckView view{check, node.node->name, instance->service->tags};
                if (!Fits(filter, view)) continue;
                WriteCheck(*check, node.node->name, instance->service->tags, json);
              }
            }
            json.EndArray();
            return absl::OkStatus();
          }};
}

// Which instances of a service are meant.
enum class InstanceSource { kService, kConnect, kIngress };

struct InstanceQuery {
  ReadFilter<HealthServiceView> filter;
  std::string lower_name;
  ReadScope scope;
  bool only_passing;
  InstanceSource source;
  std::string near;
};

std::vector<const Instance*> InstancesOf(const InstanceQuery& query, const Snapshot& snapshot) {
  switch (query.source) {
    case InstanceSource::kConnect:
      return ConnectInstancesWith(snapshot, query.lower_name, query.scope);
    case InstanceSource::kIngress:
      return IngressInstancesWith(snapshot, query.lower_name, query.scope);
    case InstanceSource::kService:
      break;
  }
  return InstancesWith(snapshot, query.lower_name, query.scope);
}

// What waits for an answer waits for.
std::vector<std::string> TopicsOf(const InstanceQuery& query) {
  switch (query.source) {
    case InstanceSource::kConnect:
      return {ConnectTopic(query.lower_name), ServicesTopic()};
    case InstanceSource::kIngress:
      return {IngressTopic(), ServicesTopic(), ChecksTopic(), NodesTopic()};
    case InstanceSource::kService:
      break;
  }
  return {ServiceTopic(query.lower_name)};
}

uint64_t IndexOf(const InstanceQuery& query, const Snapshot& snapshot) {
  switch (query.source) {
    case InstanceSource::kConnect:
      return snapshot.ConnectIndex(query.lower_name);
    case InstanceSource::kIngress:
      return std::max({snapshot.ingress_index(), snapshot.services_index(), snapshot.checks_index(),
                       snapshot.nodes_index()});
    case InstanceSource::kService:
      break;
  }
  return snapshot.ServiceIndex(query.lower_name);
}

void WriteInstances(Api& api, const InstanceQuery& query, const Snapshot& snapshot,
                    JsonWriter& json) {
  std::vector<const Instance*> instances = InstancesOf(query, snapshot);
  // At random, so that clients who take the first do not all take the same.
  for (size_t i = instances.size(); i > 1; --i) {
    std::swap(instances[i - 1], instances[api.random().Below(static_cast<uint32_t>(i))]);
  }
  api.context()
      .DistancesFrom(query.near)
      .Sort(
          instances, [](const Instance* instance) -> const auto& { return *instance->node; });
  json.BeginArray();
  for (const Instance* instance : instances) {
    if (query.only_passing && instance->health != registry::Health::kPassing) continue;
    const NodeEntry& node = EntryOf(snapshot, *instance->node);
    if (query.filter != nullptr) {
      const std::vector<CheckView> checks = ViewsOf(ChecksOf(node, *instance->service), *instance);
      const HealthServiceView view{instance->node.get(), instance->service.get(), checks};
      if (!query.filter->Matches(view)) continue;
    }
    WriteHealthEntry(node, *instance->service, json);
  }
  json.EndArray();
}

Api::MakeReading ReadInstances(Api& api, InstanceSource source) {
  return [&api, source](const Request& request, const ReadOptions& options,
                        const std::string& name) -> absl::StatusOr<Reading> {
    if (name.empty()) return absl::InvalidArgumentError("Missing service name");
    const std::string_view passing = request.Parameter("passing").value_or("false");
    const std::optional<bool> only_passing = passing.empty() ? true : ParseBool(passing);
    if (!only_passing) return absl::InvalidArgumentError("Invalid value for ?passing");
    ASSIGN_OR_RETURN(auto filter, ParseReadFilter(options.filter, kHealthServiceSchema));
    if (source == InstanceSource::kService) CountServiceQuery(api, AskedIn::kHealth, name, options);
    const auto query = std::make_shared<const InstanceQuery>(
        InstanceQuery{std::move(filter), registry::LowerCase(name), options, *only_passing, source,
                      options.near});
    return Reading{.topics = TopicsOf(*query),
                   .index = [query](const Snapshot& snapshot) { return IndexOf(*query, snapshot); },
                   .write =
                       [query, &api](const Snapshot& snapshot, JsonWriter& json) {
                         WriteInstances(api, *query, snapshot, json);
                         return absl::OkStatus();
                       }};
  };
}

absl::StatusOr<Reading> ReadState(const Api& api, const ReadOptions& options,
                                  const std::string& state) {
  if (state.empty()) return absl::InvalidArgumentError("Missing check state");
  ASSIGN_OR_RETURN(const auto filter, ParseReadFilter(options.filter, kCheckSchema));
  return Reading{.topics = {ChecksTopic(), NodesTopic()},
                 .index =
                     [](const Snapshot& snapshot) {
                       return std::max(snapshot.checks_index(), snapshot.nodes_index());
                     },
                 .write =
                     [&api, filter, state, near = options.near, meta = options.node_meta](
                         const Snapshot& snapshot, JsonWriter& json) {
                       std::vector<const NodeEntry*> nodes = NodesWith(snapshot, meta);
                       api.context().DistancesFrom(near).Sort(
                           nodes, [](const auto* entry) -> const auto& { return *entry->node; });
                       json.BeginArray();
                       for (const NodeEntry* node : nodes) {
                         WriteChecksOf(
                             *node, filter,
                             [&state](const HealthCheck& check) {
                               return state == "any" || HealthName(check.status) == state;
                             },
                             json);
                       }
                       json.EndArray();
                       return absl::OkStatus();
                     }};
}

}  // namespace

void AddHealthRoutes(Api& api) {
  api.AddRead("/v1/health/node/", ReadNodeChecks);
  api.AddRead("/v1/health/checks/",
              [&api](const Request&, const ReadOptions& options, const std::string& name) {
                return ReadServiceChecks(api, options, name);
              });
  api.AddRead("/v1/health/service/", ReadInstances(api, InstanceSource::kService));
  api.AddRead("/v1/health/state/",
              [&api](const Request&, const ReadOptions& options, const std::string& state) {
                return ReadState(api, options, state);
              });
  api.AddRead("/v1/health/connect/", ReadInstances(api, InstanceSource::kConnect));
  api.AddRead("/v1/health/ingress/", ReadInstances(api, InstanceSource::kIngress));
}

}  // namespace pharos::http
