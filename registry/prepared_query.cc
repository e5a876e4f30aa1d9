#include "registry/prepared_query.h"

#include <re2/re2.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "base/go_duration.h"
#include "base/status_macros.h"
#include "registry/query_template.h"
#include "registry/records.h"
#include "registry/snapshot.h"

namespace pharos::registry {
namespace {

using Definition = catalog::v1::PreparedQuery;
using QuerySelection = catalog::v1::PreparedQuery::Selection;

constexpr std::string_view kIngressGateway = "ingress-gateway";
constexpr std::string_view kEveryService = "*";
constexpr std::string_view kNamePrefixMatch = "name_prefix_match";
// A regular expression of a stranger may not take more of our memory.
constexpr int64_t kRegexOctetsMax = int64_t{1} << 20;

// Fills in every text of the selection.
absl::Status Render(const TemplateValues& values, bool remove_empty_tags,
                    QuerySelection& selection) {
  const auto render = [&values](std::string& text) {
    std::string rendered;
    RETURN_IF_ERROR(RenderTemplateText(text, values, rendered));
    text = std::move(rendered);
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(render(*selection.mutable_service()));
  RETURN_IF_ERROR(render(*selection.mutable_near()));
  for (std::string& tag : *selection.mutable_tags()) RETURN_IF_ERROR(render(tag));
  for (std::string& id : *selection.mutable_ignore_check_ids()) RETURN_IF_ERROR(render(id));
  for (std::string& name : *selection.mutable_failover()->mutable_datacenters()) {
    RETURN_IF_ERROR(render(name));
  }
  for (auto& [key, value] : *selection.mutable_node_meta()) RETURN_IF_ERROR(render(value));
  for (auto& [key, value] : *selection.mutable_service_meta()) RETURN_IF_ERROR(render(value));
  if (remove_empty_tags) {
    auto& tags = *selection.mutable_tags();
    tags.erase(std::remove(tags.begin(), tags.end(), std::string()), tags.end());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const re2::RE2>> CompileRegexp(const std::string& pattern) {
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kRegexOctetsMax);
  auto regexp = std::make_shared<const re2::RE2>(pattern, options);
  if (regexp->ok()) return regexp;
  return absl::InvalidArgumentError(
      absl::StrFormat("Template.Regexp is \"%s\"; expected a regular expression: %s",
                      pattern.substr(0, 64), regexp->error()));
}

absl::Status FillTemplate(PreparedQuery& query) {
  const Definition& definition = query.definition;
  const std::string& type = definition.template_().type();
  if (type.empty()) return absl::OkStatus();
  if (type != kNamePrefixMatch) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "Template.Type is \"%s\"; expected \"name_prefix_match\"", type.substr(0, 64)));
  }
  if (!definition.template_().regexp().empty()) {
    ASSIGN_OR_RETURN(query.regexp, CompileRegexp(definition.template_().regexp()));
  }
  // Filled in with nothing, to see that every reference is one.
  QuerySelection tried = definition.service();
  return Render({}, false, tried);
}

std::vector<std::string> MatchGroups(const re2::RE2& regexp, std::string_view name) {
  std::vector<re2::StringPiece> pieces(static_cast<size_t>(regexp.NumberOfCapturingGroups()) + 1);
  const bool matched =
      regexp.Match(re2::StringPiece(name.data(), name.size()), 0, name.size(), re2::RE2::UNANCHORED,
                   pieces.data(), static_cast<int>(pieces.size()));
  if (!matched) return {};
  std::vector<std::string> groups;
  groups.reserve(pieces.size());
  for (const re2::StringPiece& piece : pieces) groups.emplace_back(piece.data(), piece.size());
  return groups;
}

absl::StatusOr<ResolvedQuery> RenderQuery(const PreparedQuery& query, std::string_view name) {
  const size_t prefix_octets = std::min(query.definition.name().size(), name.size());
  TemplateValues values{.full = name,
                        .prefix = name.substr(0, prefix_octets),
                        .suffix = name.substr(prefix_octets),
                        .groups = {},
                        .segment = {}};
  if (query.regexp != nullptr) values.groups = MatchGroups(*query.regexp, name);
  ResolvedQuery resolved{.query = &query, .rendered = query.definition};
  RETURN_IF_ERROR(Render(values, query.definition.template_().remove_empty_tags(),
                         *resolved.rendered->mutable_service()));
  return resolved;
}

bool HasAll(const StringPairs& pairs,
            const google::protobuf::Map<std::string, std::string>& wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&pairs](const auto& pair) {
    return std::binary_search(pairs.begin(), pairs.end(),
                              std::pair<std::string, std::string>(pair.first, pair.second));
  });
}

bool HasTag(const Service& service, std::string_view tag) {
  return std::any_of(service.tags.begin(), service.tags.end(), [tag](const std::string& has) {
    return absl::EqualsIgnoreCase(has, absl::string_view(tag.data(), tag.size()));
  });
}

bool HasTags(const Service& service, const QuerySelection& selection) {
  return std::all_of(
      selection.tags().begin(), selection.tags().end(), [&service](const std::string& tag) {
        return tag.starts_with('!') ? !HasTag(service, std::string_view(tag).substr(1))
                                    : HasTag(service, tag);
      });
}

// The instance's health, as it is without the checks that the selection ignores.
Health HealthWithout(const Snapshot& snapshot, const Instance& instance,
                     const QuerySelection& selection) {
  if (selection.ignore_check_ids().empty()) return instance.health;
  const NodeEntry* node = snapshot.FindNode(LowerCase(instance.node->name));
  if (node == nullptr) return instance.health;
  const std::string id = LowerCase(instance.service->id);
  Health worst = Health::kPassing;
  for (const auto& check : node->checks) {
    if (!check->service_id.empty() && LowerCase(check->service_id) != id) continue;
    const bool ignored =
        std::find(selection.ignore_check_ids().begin(), selection.ignore_check_ids().end(),
                  check->id) != selection.ignore_check_ids().end();
    if (!ignored) worst = std::max(worst, check->status);
  }
  return worst;
}

bool Counts(Health health, bool only_passing) {
  return only_passing ? health == Health::kPassing : health != Health::kCritical;
}

}  // namespace

absl::StatusOr<std::unique_ptr<PreparedQuery>> MakePreparedQuery(const Definition& definition) {
  auto query = std::make_unique<PreparedQuery>();
  query->definition = definition;
  RETURN_IF_ERROR(FillTemplate(*query));
  if (!definition.dns_ttl().empty()) {
    ASSIGN_OR_RETURN(const absl::Duration ttl, ParseGoDuration(definition.dns_ttl()));
    if (ttl < absl::ZeroDuration()) {
      return absl::InvalidArgumentError(absl::StrFormat(
          "DNS.TTL is \"%s\"; expected no negative duration", definition.dns_ttl()));
    }
    query->dns_ttl_s = static_cast<uint32_t>(
        std::min<int64_t>(absl::ToInt64Seconds(ttl), std::numeric_limits<int32_t>::max()));
  }
  return query;
}

absl::StatusOr<ResolvedQuery> ResolveQuery(const Snapshot& snapshot, std::string_view name_or_id) {
  const std::string lower = LowerCase(name_or_id);
  if (const PreparedQuery* query = snapshot.FindQueryById(lower)) {
    if (!query->is_template()) return ResolvedQuery{.query = query, .rendered = {}};
    return absl::FailedPreconditionError(
        "prepared query templates can only be resolved up by name, not by ID");
  }
  const PreparedQuery* query = snapshot.FindQueryByName(lower);
  if (query != nullptr && !query->is_template()) {
    return ResolvedQuery{.query = query, .rendered = {}};
  }
  if (query == nullptr) query = snapshot.FindQueryTemplate(lower);
  if (query == nullptr) return absl::NotFoundError("Query not found");
  return RenderQuery(*query, name_or_id);
}

bool TakesEveryInstance(const QuerySelection& selection) {
  return selection.tags().empty() && selection.node_meta().empty() &&
         selection.service_meta().empty() && selection.ignore_check_ids().empty();
}

const ServiceEntry* FindSelected(const Snapshot& snapshot, const QuerySelection& selection) {
  const std::string name = LowerCase(selection.service());
  return selection.connect() ? snapshot.FindConnect(name) : snapshot.FindService(name);
}

std::vector<const Instance*> SelectInstances(const Snapshot& snapshot,
                                             const QuerySelection& selection) {
  std::vector<const Instance*> chosen;
  const ServiceEntry* entry = FindSelected(snapshot, selection);
  if (entry == nullptr) return chosen;
  for (const Ref<const Instance>& instance : entry->instances) {
    if (!HasTags(*instance->service, selection)) continue;
    if (!HasAll(instance->node->meta, selection.node_meta())) continue;
    if (!HasAll(instance->service->meta, selection.service_meta())) continue;
    if (!Counts(HealthWithout(snapshot, *instance, selection), selection.only_passing())) continue;
    chosen.push_back(instance.get());
  }
  return chosen;
}

std::vector<std::string> IngressGateways(const Snapshot& snapshot, std::string_view lower_service) {
  std::vector<std::string> names;
  for (const std::string_view service : {lower_service, kEveryService}) {
    const auto bound = snapshot.ingress().by_service.find(service);
    if (bound == snapshot.ingress().by_service.end()) continue;
    for (const std::string& name : bound->second) {
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
  }
  return names;
}

std::vector<const Instance*> IngressInstances(const Snapshot& snapshot,
                                              std::string_view lower_service) {
  std::vector<const Instance*> instances;
  for (const std::string& gateway : IngressGateways(snapshot, lower_service)) {
    const ServiceEntry* entry = snapshot.FindService(gateway);
    if (entry == nullptr) continue;
    for (const auto& instance : entry->instances) {
      if (instance->service->details->kind == kIngressGateway) instances.push_back(instance.get());
    }
  }
  return instances;
}

}  // namespace pharos::registry
