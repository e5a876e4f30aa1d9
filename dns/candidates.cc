// Which instances a name stands for, and in which order they are shown.

#include <algorithm>
#include <array>
#include <utility>

#include "dns/answerer.h"
#include "dns/sample.h"
#include "registry/prepared_query.h"
#include "registry/records.h"
#include "registry/remote_catalogs.h"

namespace pharos::dns {
namespace {

using registry::Include;
using registry::Instance;
using registry::InstanceList;

constexpr std::string_view kNearClient = "_ip";
constexpr uint16_t kFamilyV4 = 1, kFamilyV6 = 2;  // IANA Address Family Numbers.

// Whether some instance has a tag that ends in `.<tag>`: then names below `tag` exist.
bool HasTagBelow(const registry::ServiceEntry& entry, std::string_view tag) {
  return std::ranges::any_of(entry.by_tag, [tag](const auto& known) {
    const std::string_view name = known.first;
    return name.size() > tag.size() && name.ends_with(tag) &&
           name[name.size() - tag.size() - 1] == '.';
  });
}

// `_<name>._<anything>` as the name of a query (RFC 2782's form); empty if it is not of that form.
std::string_view NameInSrvForm(std::string_view name) {
  const size_t last_dot = name.rfind('.');
  if (last_dot == std::string_view::npos || !name.starts_with('_') || name[last_dot + 1] != '_') {
    return {};
  }
  return name.substr(1, last_dot - 1);
}

}  // namespace

Answerer::Found Answerer::FindCandidates(const NameQuestion& name) {
  switch (name.form) {
    case NameForm::kService:
      return FindService(name);
    case NameForm::kIngress:
      return FindIngress(name);
    case NameForm::kPreparedQuery:
      return FindPreparedQuery(name);
    default:
      break;
  }
  const registry::ServiceEntry* entry = snapshot_.FindConnect(name.name);
  if (entry == nullptr) return {};
  return {.candidates = Candidates{.instances = InstanceList(entry->instances),
                                   .records = &entry->all,
                                   .include = IncludeFor(config_, entry->all),
                                   .ttl_s = config_.service_ttls.Get(entry->name)}};
}

Answerer::Found Answerer::FindService(const NameQuestion& name) {
  const registry::ServiceEntry* entry = snapshot_.FindService(name.name);
  if (entry == nullptr) {
    // Not a service, but perhaps `_<tag>`, above `_<service>._<tag>`.
    const bool above =
        name.tag.empty() && name.name.starts_with('_') && snapshot_.HasTag(name.name.substr(1));
    return {.candidates = {}, .otherwise = NoErrorIf(above)};
  }
  const registry::RecordSet* records = name.tag.empty() ? &entry->all : entry->FindTag(name.tag);
  if (records == nullptr) {
    return {.candidates = {}, .otherwise = NoErrorIf(HasTagBelow(*entry, name.tag))};
  }
  return {.candidates = Candidates{.instances = InstanceList(entry->instances),
                                   .records = records,
                                   .include = IncludeFor(config_, *records),
                                   .ttl_s = config_.service_ttls.Get(entry->name)}};
}

Answerer::Found Answerer::FindIngress(const NameQuestion& name) {
  for (const std::string& gateway : registry::IngressGateways(snapshot_, name.name)) {
    if (Lacks(registry::ServicePart(gateway))) return {};
  }
  std::vector<const Instance*> instances = registry::IngressInstances(snapshot_, name.name);
  if (instances.empty()) return {};
  Candidates candidates = Choose(std::move(instances), config_.service_ttls.Get(name.name));
  candidates.include = IncludeFor(config_, *candidates.records);
  return {.candidates = candidates};
}

// A query of that very name goes before the form of RFC 2782, and that before templates, which
// might take any name.
absl::StatusOr<registry::ResolvedQuery> Answerer::ResolveQueryName(std::string_view name) const {
  const registry::Snapshot& queries =
      context_.query_snapshot == nullptr ? snapshot_ : *context_.query_snapshot;
  const std::string_view in_srv_form = NameInSrvForm(name);
  if (!in_srv_form.empty() && queries.FindQueryByName(name) == nullptr) {
    auto resolved = registry::ResolveQuery(queries, in_srv_form);
    if (resolved.ok()) return resolved;
  }
  return registry::ResolveQuery(queries, name);
}

namespace {

// The part of a catalog that a prepared query chooses from.
std::string PartOfSelection(const catalog::v1::PreparedQuery::Selection& selection) {
  const std::string service = registry::LowerCase(selection.service());
  return selection.connect() ? registry::ConnectPart(service) : registry::ServicePart(service);
}

}  // namespace

std::vector<std::string> Answerer::FailOverOrder(const QueryFailover& failover) const {
  // Seen from another datacenter, this agent's own one is the nearest: the client is here.
  std::vector<std::string> nearest;
  if (context_.home != nullptr) nearest.push_back(context_.home->config.datacenter);
  const std::vector<std::string>& others = context_.others->catalogs.nearest;
  nearest.insert(nearest.end(), others.begin(), others.end());
  std::erase(nearest, config_.datacenter);
  const size_t wanted = static_cast<size_t>(std::max(failover.nearest_n(), 0));
  nearest.resize(std::min(nearest.size(), wanted));
  for (const std::string& name : failover.datacenters()) {
    if (std::find(nearest.begin(), nearest.end(), name) == nearest.end()) nearest.push_back(name);
  }
  return nearest;
}

std::optional<Handled> Answerer::FailOver() {
  // What a query failed over to does not go on to others.
  if (context_.others == nullptr || context_.query_snapshot != nullptr) return std::nullopt;
  const auto resolved = ResolveQueryName(question_.name);
  if (!resolved.ok()) return std::nullopt;
  const auto& selection = resolved->definition().service();
  const registry::RemoteCatalogs& catalogs = context_.others->catalogs;
  const std::string part = PartOfSelection(selection);
  for (const std::string& name : FailOverOrder(selection.failover())) {
    const AnswerContext* const home = context_.home;
    if (home != nullptr && home->parts == nullptr && name == home->config.datacenter) {
      const bool believed = home->freshness == registry::Freshness::kFresh ||
                            home->freshness == registry::Freshness::kStale;
      if (!believed || registry::SelectInstances(home->snapshot, selection).empty()) continue;
      if (explains()) Tell("failover", "answered by the datacenter \"" + name + "\", this one");
      AnswerContext here = *home;
      here.query_snapshot = &snapshot_;
      return Answerer(query_, here, reply_).Answer();
    }
    const auto* const known = catalogs.Find(name);
    if (known == nullptr || known->freshness == registry::Freshness::kExpired) continue;
    const bool there = known->parts != nullptr && known->parts->contains(part);
    if (!there) {
      if (IsUnavailable(name, part)) continue;
      needed_part_ = std::make_unique<NeededPart>(NeededPart{name, part});
      return NeedsPart();
    }
    const std::vector<const Instance*> instances =
        registry::SelectInstances(*known->snapshot, selection);
    if (instances.empty()) continue;
    if (explains()) Tell("failover", "answered by the datacenter \"" + name + "\"");
    return AnswerFrom(name, *known, &snapshot_);
  }
  return std::nullopt;
}

Answerer::Found Answerer::FindPreparedQuery(const NameQuestion& name) {
  const auto resolved = ResolveQueryName(name.name);
  if (!resolved.ok()) {
    // Names may be below `_tcp`, whatever queries there are (RFC 8020).
    const bool above =
        snapshot_.HasQueryBelow(name.name) ||
        (name.name.starts_with('_') && name.name.find('.') == std::string_view::npos);
    return {.candidates = {}, .otherwise = NoErrorIf(above)};
  }
  if (explains()) ExplainQuery(*resolved);
  const auto& selection = resolved->definition().service();
  if (Lacks(PartOfSelection(selection))) return {};
  const uint32_t ttl_s =
      resolved->query->dns_ttl_s.value_or(config_.service_ttls.Get(selection.service()));
  std::optional<Candidates> candidates;
  if (!registry::TakesEveryInstance(selection)) {
    std::vector<const Instance*> instances = registry::SelectInstances(snapshot_, selection);
    if (!instances.empty()) candidates = Choose(std::move(instances), ttl_s);
  } else if (const auto* entry = registry::FindSelected(snapshot_, selection)) {
    candidates =
        Candidates{.instances = InstanceList(entry->instances),
                   .records = &entry->all,
                   .include = selection.only_passing() ? Include::kPassing : Include::kHealthy,
                   .ttl_s = ttl_s};
  }
  if (candidates) candidates->nearest = FindNearest(selection.near());
  // RFC 7871 section 7.2.1: another client of the same network might get another order.
  if (candidates && selection.near() == kNearClient && !ClientSubnet().empty()) {
    writer_.SetSubnetScope(ClientSubnet()[2]);
  }
  return {.candidates = candidates};
}

Candidates Answerer::Choose(std::vector<const Instance*> instances, uint32_t ttl_s) {
  auto chosen = std::make_unique<Chosen>();
  chosen->instances = std::move(instances);
  std::vector<uint32_t> everyone(chosen->instances.size());
  for (uint32_t i = 0; i < everyone.size(); ++i) everyone[i] = i;
  const InstanceList list(chosen->instances);
  registry::SelectionPool pool;
  chosen->records = registry::MakeRecordSet(list, everyone, pool);
  const Candidates candidates{
      .instances = list, .records = &chosen->records, .include = Include::kAll, .ttl_s = ttl_s};
  chosen_.push_back(std::move(chosen));
  return candidates;
}

// The node that a prepared query is to be near to; null when nobody is meant.
const registry::Node* Answerer::FindNearest(const std::string& near) const {
  if (near.empty()) return nullptr;
  if (near == kNearClient) {
    const auto nodes = snapshot_.FindAddress(ClientAddress()).nodes;
    return nodes.empty() ? nullptr : nodes.front().get();
  }
  const std::string name = near == "_agent" ? config_.node_name : registry::LowerCase(near);
  const registry::NodeEntry* entry = snapshot_.FindNode(name);
  return entry == nullptr ? nullptr : entry->node.get();
}

Octets Answerer::ClientSubnet() const {
  return query_.edns ? query_.edns->client_subnet : Octets();
}

IpAddress Answerer::ClientAddress() const {
  // RFC 7871 section 6: family, source prefix length, scope, then the address without its trailing
  // zero octets.
  const Octets subnet = ClientSubnet();
  if (subnet.empty()) return context_.client;
  const uint16_t family = LoadU16(&subnet[0]);
  const Octets given = subnet.subspan(4);
  if (family == kFamilyV4 && given.size() <= 4) {
    std::array<uint8_t, 4> octets{};
    std::copy(given.begin(), given.end(), octets.begin());
    return IpAddress::V4(octets);
  }
  if (family == kFamilyV6 && given.size() <= 16) {
    std::array<uint8_t, 16> octets{};
    std::copy(given.begin(), given.end(), octets.begin());
    return IpAddress::V6(octets);
  }
  return context_.client;
}

uint8_t Answerer::RankOf(const Candidates& candidates, const Instance& instance) const {
  if (instance.node.get() == candidates.nearest) return 0;
  if (config_.locality == LocalityPreference::kOff) return 1;
  const registry::LocalityView at = registry::LocalityOf(instance);
  if (at.region != config_.region) return 3;
  return at.zone == config_.zone_in_region ? 1 : 2;
}

std::span<const uint32_t> Answerer::Pick(const Candidates& candidates,
                                         const registry::Selection& selection, size_t count) {
  const Population all{selection.Get(candidates.include), selection.WeightSums(candidates.include)};
  AnswerScratch& scratch = context_.scratch;
  if (candidates.nearest == nullptr && config_.locality == LocalityPreference::kOff) {
    return Sample(all, count, context_.random, scratch);
  }
  if (candidates.nearest != nullptr && config_.round_trips != nullptr) {
    return PickNear(candidates, selection, count);
  }
  scratch.ranks.clear();
  for (const uint32_t position : all.positions) {
    scratch.ranks.push_back(RankOf(candidates, candidates.instances[position]));
  }
  return SampleByRank(all, scratch.ranks, count, context_.random, scratch);
}

std::span<const uint32_t> Answerer::PickNear(const Candidates& candidates,
                                             const registry::Selection& selection, size_t count) {
  const Population all{selection.Get(candidates.include), selection.WeightSums(candidates.include)};
  AnswerScratch& scratch = context_.scratch;
  scratch.ranks.clear();
  for (const uint32_t position : all.positions) {
    scratch.ranks.push_back(RankOf(candidates, candidates.instances[position]));
  }
  // Those at one distance, as nodes of which nothing is known, stay in the order of their ranks.
  const std::span<const uint32_t> drawn =
      SampleByRank(all, scratch.ranks, all.size(), context_.random, scratch);
  const RoundTrips round_trips = config_.round_trips(registry::LowerCase(candidates.nearest->name));
  std::vector<std::pair<absl::Duration, uint32_t>> by_distance;
  by_distance.reserve(drawn.size());
  for (const uint32_t position : drawn) {
    by_distance.emplace_back(round_trips(*candidates.instances[position].node), position);
  }
  std::stable_sort(by_distance.begin(), by_distance.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  scratch.ranked.clear();
  for (size_t i = 0; i < count; ++i) scratch.ranked.push_back(by_distance[i].second);
  return scratch.ranked;
}

}  // namespace pharos::dns
