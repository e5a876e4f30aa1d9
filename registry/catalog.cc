#include "registry/catalog.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "registry/command.h"
#include "registry/make_records.h"
#include "registry/network_key.h"
#include "registry/records.h"

namespace pharos::registry {
namespace {

constexpr std::string_view kConnectProxy = "connect-proxy";
// When a command touches more services of a node than this, all of them are looked at.
constexpr size_t kTouchedMax = 8;

// The record to keep: the one before if nothing in it changes, so that its index stands still.
template <typename T>
Ref<const T> KeepOrReplace(const Ref<const T>* before, std::unique_ptr<T> after, uint64_t index) {
  if (before != nullptr && SameContent(**before, *after)) return *before;
  after->create_index = before == nullptr ? index : (*before)->create_index;
  after->modify_index = index;
  return Ref<const T>(after.release());
}

// The element of a list sorted by id (without regard to case), or where it would go.
template <typename List>
auto FindById(List& list, std::string_view id) {
  return std::lower_bound(list.begin(), list.end(), id,
                          [](const auto& element, std::string_view wanted) {
                            return LessIgnoringCase(element->id, wanted);
                          });
}

template <typename T>
bool IsAt(const std::vector<Ref<const T>>& list,
          typename std::vector<Ref<const T>>::const_iterator at, std::string_view id) {
  return at != list.end() && !LessIgnoringCase(id, (*at)->id);
}

template <typename T>
void Upsert(std::vector<Ref<const T>>& list, std::unique_ptr<T> record, uint64_t index) {
  const auto at = FindById(list, record->id);
  if (IsAt(list, at, record->id)) {
    *at = KeepOrReplace(&*at, std::move(record), index);
  } else {
    list.insert(at, KeepOrReplace<T>(nullptr, std::move(record), index));
  }
}

// The checks of a node, read once for all its services, or for those of `ids` (null: all).
class NodeChecks {
 public:
  NodeChecks(const NodeEntry* entry, const std::set<std::string>* ids) {
    if (entry == nullptr) return;
    for (const auto& check : entry->checks) {
      if (ids != nullptr && !check->service_id.empty() && !Contains(*ids, check->service_id)) {
        continue;
      }
      Of& of = check->service_id.empty() ? node_ : services_[LowerCase(check->service_id)];
      of.worst = std::max(of.worst, check->status);
      of.checks.push_back(check.get());
    }
  }

  // The worst of the node's own checks and those of the service.
  Health WorstOf(const std::string& lower_service_id) const {
    return std::max(node_.worst, OfService(lower_service_id).worst);
  }
  // Whether the service (and its node) has the very same checks in both.
  static bool SameFor(const std::string& lower_service_id, const NodeChecks& a,
                      const NodeChecks& b) {
    return a.node_.checks == b.node_.checks &&
           a.OfService(lower_service_id).checks == b.OfService(lower_service_id).checks;
  }

 private:
  struct Of {
    Health worst = Health::kPassing;
    std::vector<const HealthCheck*> checks;
  };

  const Of& OfService(const std::string& lower_service_id) const {
    static const Of kNone;
    const auto found = services_.find(lower_service_id);
    return found == services_.end() ? kNone : found->second;
  }

  static bool Contains(const std::set<std::string>& lower_ids, const std::string& id) {
    return std::any_of(lower_ids.begin(), lower_ids.end(), [&id](const std::string& lower_id) {
      return absl::EqualsIgnoreCase(lower_id, id);
    });
  }

  Of node_;
  absl::flat_hash_map<std::string, Of> services_;
};

// The service in a mesh that an instance of this one takes connections for, in lower case; empty
// for one that is in no mesh.
std::string ConnectName(const Service& service) {
  if (service.details->kind == kConnectProxy) return LowerCase(service.details->proxy_destination);
  return service.connect_native ? LowerCase(service.name) : std::string();
}

InstanceKey KeyOf(const Instance& instance) {
  return {instance.node.get(), instance.service.get()};
}

// Where the instance with a key is, if it is there.
std::optional<uint32_t> FindInstance(const InstanceSequence& instances, const InstanceKey& key) {
  uint32_t from = 0;
  auto to = static_cast<uint32_t>(instances.size());
  while (from < to) {
    const uint32_t middle = from + (to - from) / 2;
    if (Compare(KeyOf(*instances[middle]), key) < 0) {
      from = middle + 1;
    } else {
      to = middle;
    }
  }
  if (from == instances.size() || Compare(KeyOf(*instances[from]), key) != 0) return std::nullopt;
  return from;
}

// The names of what has changed, in order.
template <typename Changes>
std::vector<std::string> NamesOf(const Changes& changes) {
  std::vector<std::string> names;
  names.reserve(changes.size());
  for (const auto& [name, change] : changes) names.push_back(name);
  std::ranges::sort(names);
  return names;
}

// Whether the entries hold the very same records.
bool HoldsTheSame(const NodeEntry& a, const NodeEntry& b) {
  return a.node == b.node && a.services == b.services && a.checks == b.checks;
}

// Adds to the count of a key; a count of 0 is not kept.
void Count(PersistentMap<std::string, uint32_t>& counts, const std::string& key, int change) {
  const uint32_t* old = counts.Find(key);
  const uint32_t count = (old == nullptr ? 0 : *old) + static_cast<uint32_t>(change);
  if (count == 0) {
    counts.Erase(key);
  } else {
    counts.Set(key, count);
  }
}

// Counts every name above the node's own.
void CountSuffixes(PersistentMap<std::string, uint32_t>& counts, const std::string& name,
                   int change) {
  for (size_t dot = name.find('.'); dot != std::string::npos; dot = name.find('.', dot + 1)) {
    Count(counts, name.substr(dot + 1), change);
  }
}

// Counts every network that the address is in.
template <typename Counts>
void CountNetworks(Counts& counts, const IpAddress& ip, int change) {
  const size_t step = NetworkStepBits(ip);
  for (size_t bits = step; bits < 8 * ip.octets().size(); bits += step) {
    counts[NetworkKey(ip, bits)] += change;
  }
}

// The table again with another set of gateways.
std::unique_ptr<IngressTable> MakeIngressTable(
    std::map<std::string, IngressTable::Gateway, std::less<>> gateways) {
  auto table = std::make_unique<IngressTable>();
  table->gateways = std::move(gateways);
  for (const auto& [name, gateway] : table->gateways) {
    std::set<std::string> services;
    for (const auto& listener : gateway.definition.listeners()) {
      for (const auto& service : listener.services()) services.insert(LowerCase(service.name()));
    }
    for (const std::string& service : services) table->by_service[service].push_back(name);
  }
  return table;
}

}  // namespace

Catalog::Catalog(std::string datacenter) { head_.datacenter_ = std::move(datacenter); }

absl::Status Catalog::Apply(uint64_t index, const catalog::v1::Command& command) {
  RETURN_IF_ERROR(ValidateCommand(command));
  changed_ = false;
  if (command.change_case() == catalog::v1::Command::kBatch) {
    // All or nothing: a later command that fails takes the earlier ones back.
    const Snapshot before = head_;
    const Unpublished unpublished_before = unpublished_;
    for (const catalog::v1::Command& single : command.batch().commands()) {
      if (absl::Status applied = ApplyOne(index, single); !applied.ok()) {
        head_ = before;
        unpublished_ = unpublished_before;
        return applied;
      }
    }
  } else {
    RETURN_IF_ERROR(ApplyOne(index, command));
  }
  head_.index_ = index;
  if (changed_) {
    head_.changed_unix_s_ = std::max(head_.changed_unix_s_, command.time_unix_ms() / 1000);
  }
  return absl::OkStatus();
}

absl::Status Catalog::ApplyOne(uint64_t index, const catalog::v1::Command& command) {
  if (command.change_case() == catalog::v1::Command::kRegister) {
    return Register(index, command.register_());
  }
  switch (command.change_case()) {
    case catalog::v1::Command::kSetPreparedQuery:
      return SetQuery(index, command.set_prepared_query());
    case catalog::v1::Command::kDeletePreparedQuery:
      return DeleteQuery(index, command.delete_prepared_query().id());
    case catalog::v1::Command::kSetIngressGateway:
      SetIngress(index, command.set_ingress_gateway());
      return absl::OkStatus();
    case catalog::v1::Command::kDeleteIngressGateway:
      DeleteIngress(index, command.delete_ingress_gateway().name());
      return absl::OkStatus();
    default:
      Deregister(index, command.deregister());
      return absl::OkStatus();
  }
}

absl::Status Catalog::Register(uint64_t index, const catalog::v1::Register& change) {
  const NodeEntry* before = head_.FindNode(LowerCase(change.node().name()));
  auto after =
      before == nullptr ? std::make_unique<NodeEntry>() : std::make_unique<NodeEntry>(*before);
  if (before == nullptr || !change.skip_node_update()) {
    after->node = KeepOrReplace(before == nullptr ? nullptr : &before->node,
                                MakeNode(change.node(), head_.datacenter_), index);
  }
  Touched touched;
  touched.all = before == nullptr || before->node != after->node;
  const auto touch = [&touched](std::string_view service_id) {
    if (service_id.empty()) {
      touched.all = true;
    } else {
      touched.service_ids.insert(LowerCase(service_id));
    }
  };
  if (before == nullptr) {
    after->services.reserve(static_cast<size_t>(change.services_size()));
    after->checks.reserve(static_cast<size_t>(change.checks_size()));
  }
  for (const auto& given : change.services()) {
    std::unique_ptr<Service> service = MakeService(given);
    touch(service->id);
    Upsert(after->services, std::move(service), index);
  }
  for (const auto& given : change.checks()) {
    std::unique_ptr<HealthCheck> check = MakeHealthCheck(given);
    if (!given.service_id().empty()) {
      const auto service = FindById(after->services, given.service_id());
      if (!IsAt(after->services, service, given.service_id())) {
        return absl::NotFoundError(
            absl::StrFormat("check \"%s\" is of service \"%s\", which node \"%s\" does not have",
                            given.id(), given.service_id(), change.node().name()));
      }
      check->service_name = (*service)->name;
    }
    touch(check->service_id);
    // It may have been another's before.
    const auto old = FindById(after->checks, given.id());
    if (IsAt(after->checks, old, given.id())) touch((*old)->service_id);
    Upsert(after->checks, std::move(check), index);
  }
  Replace(index, before, std::move(after), touched);
  return absl::OkStatus();
}

void Catalog::Deregister(uint64_t index, const catalog::v1::Deregister& change) {
  const NodeEntry* before = head_.FindNode(LowerCase(change.node()));
  if (before == nullptr) return;
  if (change.service_id().empty() && change.check_id().empty()) {
    Replace(index, before, nullptr, {.service_ids = {}, .all = true});
    return;
  }
  auto after = std::make_unique<NodeEntry>(*before);
  Touched touched;
  if (!change.service_id().empty()) {
    const auto at = FindById(after->services, change.service_id());
    if (IsAt(after->services, at, change.service_id())) after->services.erase(at);
    std::erase_if(after->checks, [&change](const auto& check) {
      return absl::EqualsIgnoreCase(check->service_id.get(), change.service_id());
    });
    touched.service_ids.insert(LowerCase(change.service_id()));
  }
  if (!change.check_id().empty()) {
    const auto at = FindById(after->checks, change.check_id());
    if (IsAt(after->checks, at, change.check_id())) {
      touched.all |= (*at)->service_id.empty();
      touched.service_ids.insert(LowerCase((*at)->service_id));
      after->checks.erase(at);
    }
  }
  Replace(index, before, std::move(after), touched);
}

void Catalog::Replace(uint64_t index, const NodeEntry* before,
                      std::unique_ptr<NodeEntry> replacement, const Touched& touched) {
  if (before != nullptr && replacement != nullptr && HoldsTheSame(*before, *replacement)) return;
  changed_ = true;
  if (replacement != nullptr) replacement->modify_index = index;
  Ref<const NodeEntry> after(replacement.release());
  // Holds the old entry until everything that refers to it is brought up to date.
  const Ref<const NodeEntry> kept(before);
  UpdateIndexes(index, before, after.get());
  UpdateInstances(index, before, after.get(), touched);
  UpdateAddress(before == nullptr ? nullptr : before->node.get(), after ? &after->node : nullptr);
  const std::string key = LowerCase(after ? after->node->name : before->node->name);
  unpublished_.nodes.insert(key);
  if (before == nullptr) CountSuffixes(head_.node_suffixes_, key, 1);
  if (!after) CountSuffixes(head_.node_suffixes_, key, -1);
  if (after) {
    head_.nodes_.Set(key, std::move(after));
  } else {
    head_.nodes_.Erase(key);
  }
}

void Catalog::UpdateIndexes(uint64_t index, const NodeEntry* before, const NodeEntry* after) {
  static const NodeEntry kNone{};
  const NodeEntry& was = before == nullptr ? kNone : *before;
  const NodeEntry& is = after == nullptr ? kNone : *after;
  if (was.node != is.node) head_.nodes_index_ = index;
  if (was.services != is.services) head_.services_index_ = index;
  if (was.checks != is.checks) head_.checks_index_ = index;
}

void Catalog::UpdateInstances(uint64_t index, const NodeEntry* before, const NodeEntry* after,
                              const Touched& touched) {
  static const std::vector<Ref<const Service>> kNone;
  const auto& old_services = before == nullptr ? kNone : before->services;
  const auto& new_services = after == nullptr ? kNone : after->services;
  const Ref<const Node>& node = (after != nullptr ? after : before)->node;
  const bool same_node = before != nullptr && after != nullptr && before->node == after->node;

  const bool few = !touched.all && touched.service_ids.size() <= kTouchedMax;
  const std::set<std::string>* ids = few ? &touched.service_ids : nullptr;
  const NodeChecks old_checks(before, ids), new_checks(after, ids);

  // One service as it was and as it is (null: is not there).
  const auto update = [&](const Ref<const Service>* was, const Ref<const Service>* is) {
    const std::string id = LowerCase((is != nullptr ? is : was)->get()->id);
    const Health health = new_checks.WorstOf(id);
    if (was != nullptr && is != nullptr && *was == *is && same_node) {
      if (NodeChecks::SameFor(id, old_checks, new_checks)) return;
      if (health == old_checks.WorstOf(id)) {
        UpdateInstance(index, node, was, is, {});
        return;
      }
    }
    UpdateAddress(was == nullptr ? nullptr : was->get(), is);
    UpdateInstance(index, node, was, is,
                   is == nullptr ? Ref<const Instance>() : MakeInstance(node, *is, health));
  };

  if (ids != nullptr) {
    for (const std::string& id : *ids) {
      const auto was = FindById(old_services, id), is = FindById(new_services, id);
      const bool was_there = IsAt(old_services, was, id), is_there = IsAt(new_services, is, id);
      if (was_there || is_there) update(was_there ? &*was : nullptr, is_there ? &*is : nullptr);
    }
    return;
  }
  Prefetch(new_services);
  auto older = old_services.begin();
  auto newer = new_services.begin();
  // Both lists are sorted by id: one walk pairs what was with what is.
  while (older != old_services.end() || newer != new_services.end()) {
    const bool take_old =
        newer == new_services.end() ||
        (older != old_services.end() && !LessIgnoringCase((*newer)->id, (*older)->id));
    const bool take_new =
        older == old_services.end() ||
        (newer != new_services.end() && !LessIgnoringCase((*older)->id, (*newer)->id));
    const Ref<const Service>* was = take_old ? &*older++ : nullptr;
    const Ref<const Service>* is = take_new ? &*newer++ : nullptr;
    update(was, is);
  }
}

void Catalog::Prefetch(const std::vector<Ref<const Service>>& services) const {
  std::vector<IpAddress> addresses;
  addresses.reserve(services.size());
  for (const Ref<const Service>& service : services) {
    unpublished_.services.prefetch(LowerCase(service->name));
    if (const auto ip = IpAddress::Parse(service->address)) addresses.push_back(*ip);
  }
  head_.addresses_.Prefetch(addresses);
}

void Catalog::UpdateInstance(uint64_t index, const Ref<const Node>& node,
                             const Ref<const Service>* was, const Ref<const Service>* is,
                             const Ref<const Instance>& instance) {
  const auto update = [&](ServiceChanges& changes, const std::string& old_name,
                          const std::string& new_name) {
    if (!old_name.empty() && old_name != new_name) {
      ServiceChange& change = changes[old_name];
      change.index = index;
      change.instances.Add({node, *was, {}});
    }
    if (new_name.empty()) return;
    ServiceChange& change = changes[new_name];
    change.index = index;
    if (is != nullptr && instance) change.instances.Add({node, *is, instance});
  };
  update(unpublished_.services, was == nullptr ? "" : LowerCase((*was)->name),
         is == nullptr ? "" : LowerCase((*is)->name));
  update(unpublished_.connect, was == nullptr ? "" : ConnectName(**was),
         is == nullptr ? "" : ConnectName(**is));
}

template <typename T>
void Catalog::UpdateAddress(const T* before, const Ref<const T>* after) {
  if (after != nullptr && after->get() == before) return;
  const auto update = [&](const IpAddress& ip, const Ref<const T>* add) {
    const int more = head_.addresses_.Replace(ip, before, add);
    if (more != 0) CountNetworks(unpublished_.networks, ip, more);
  };
  const auto old_ip = before == nullptr ? std::nullopt : IpAddress::Parse(before->address);
  const auto new_ip = after == nullptr ? std::nullopt : IpAddress::Parse((*after)->address);
  if (old_ip) update(*old_ip, old_ip == new_ip ? after : nullptr);
  if (new_ip && old_ip != new_ip) update(*new_ip, after);
}

std::unique_ptr<ServiceEntry> Catalog::Merge(const std::string& name, const ServiceEntry* before,
                                             const std::vector<InstanceChange>& changes) {
  if (before != nullptr) {
    if (auto entry = MergeHealth(*before, changes)) return entry;
  }
  std::vector<Ref<const Instance>> instances;
  instances.reserve((before == nullptr ? 0 : before->instances.size()) + changes.size());
  auto change = changes.begin();
  const auto take_change = [&] {
    if (change->instance) instances.push_back(change->instance);
    ++change;
  };
  // The instances stay sorted by their key.
  if (before != nullptr) {
    for (const Ref<const Instance>& instance : before->instances) {
      const InstanceKey key = KeyOf(*instance);
      while (change != changes.end() && Compare(change->key(), key) < 0) take_change();
      if (change != changes.end() && Compare(change->key(), key) == 0) {
        take_change();
      } else {
        instances.push_back(instance);
      }
    }
  }
  while (change != changes.end()) take_change();
  if (instances.empty()) return nullptr;
  auto entry = std::make_unique<ServiceEntry>();
  entry->name = name;
  entry->instances = InstanceSequence(std::move(instances));
  FillServiceRecords(*entry, selections_);
  return entry;
}

std::unique_ptr<ServiceEntry> Catalog::MergeHealth(const ServiceEntry& before,
                                                   const std::vector<InstanceChange>& changes) {
  if (!CanUpdateHealth(before)) return nullptr;
  std::vector<uint32_t> positions;
  for (const InstanceChange& change : changes) {
    const Ref<const Instance>& instance = change.instance;
    if (!instance) return nullptr;
    const std::optional<uint32_t> at = FindInstance(before.instances, change.key());
    if (!at) return nullptr;
    const Instance& was = *before.instances[*at];
    if (was.node != instance->node || was.service != instance->service) return nullptr;
    positions.push_back(*at);
  }
  auto entry = std::make_unique<ServiceEntry>();
  entry->name = before.name;
  entry->instances = before.instances;
  auto at = positions.begin();
  for (const InstanceChange& change : changes) entry->instances.Replace(*at++, change.instance);
  UpdateServiceHealth(before, positions, *entry, selections_);
  return entry;
}

void Catalog::FinishService(const std::string& name, ServiceChange& changed) {
  const ServiceSlot* slot = head_.services_.Find(name);
  if (slot != nullptr && changed.instances.empty()) {
    head_.services_.Set(name, {slot->entry, changed.index});
    return;
  }
  const ServiceEntry* before = slot == nullptr ? nullptr : slot->entry.get();
  std::unique_ptr<ServiceEntry> entry = Merge(name, before, changed.instances.Sorted());
  UpdateTags(before, entry.get());
  if (entry == nullptr) {
    if (head_.services_.Erase(name)) head_.extinction_index_ = changed.index;
    return;
  }
  head_.services_.Set(name, {Ref<const ServiceEntry>(entry.release()), changed.index});
}

void Catalog::FinishConnect(const std::string& name, ServiceChange& changed) {
  const ServiceSlot* slot = head_.connect_.Find(name);
  if (slot != nullptr && changed.instances.empty()) {
    head_.connect_.Set(name, {slot->entry, changed.index});
    return;
  }
  std::unique_ptr<ServiceEntry> entry =
      Merge(name, slot == nullptr ? nullptr : slot->entry.get(), changed.instances.Sorted());
  if (entry == nullptr) {
    head_.connect_.Erase(name);
  } else {
    head_.connect_.Set(name, {Ref<const ServiceEntry>(entry.release()), changed.index});
  }
}

absl::Status Catalog::SetQuery(uint64_t index, const catalog::v1::SetPreparedQuery& change) {
  const catalog::v1::PreparedQuery& given = change.query();
  const std::string id = LowerCase(given.id());
  const PreparedQuery* before = head_.FindQueryById(id);
  if (before == nullptr && !change.create()) {
    return absl::AbortedError(
        absl::StrFormat("Cannot modify non-existent prepared query: '%s'", given.id()));
  }
  if (before != nullptr && change.create()) {
    return absl::AbortedError(absl::StrFormat("a prepared query with ID '%s' exists", given.id()));
  }
  const bool is_template = !given.template_().type().empty();
  if (!given.name().empty() || is_template) {
    const std::string name = LowerCase(given.name());
    const PreparedQuery* same =
        given.name().empty() ? head_.FindQueryTemplate("") : head_.FindQueryByName(name);
    if (same != nullptr && same != before) {
      return absl::AbortedError(
          given.name().empty()
              ? std::string("a query template with an empty name already exists")
              : absl::StrFormat("name '%s' aliases an existing query name", given.name()));
    }
    if (head_.FindQueryById(name) != nullptr) {
      return absl::AbortedError(
          absl::StrFormat("name '%s' aliases an existing query ID", given.name()));
    }
  }
  ASSIGN_OR_RETURN(std::unique_ptr<PreparedQuery> query, MakePreparedQuery(given));
  query->create_index = before == nullptr ? index : before->create_index;
  query->modify_index = index;
  const Ref<const PreparedQuery> after(query.release());
  IndexQuery(before, nullptr);
  IndexQuery(after.get(), &after);
  head_.queries_.Set(id, after);
  head_.queries_index_ = index;
  changed_ = true;
  return absl::OkStatus();
}

absl::Status Catalog::DeleteQuery(uint64_t index, const std::string& id) {
  const PreparedQuery* before = head_.FindQueryById(LowerCase(id));
  if (before == nullptr) {
    return absl::AbortedError(
        absl::StrFormat("Cannot modify non-existent prepared query: '%s'", id));
  }
  IndexQuery(before, nullptr);
  head_.queries_.Erase(LowerCase(id));
  head_.queries_index_ = index;
  changed_ = true;
  return absl::OkStatus();
}

void Catalog::IndexQuery(const PreparedQuery* query, const Ref<const PreparedQuery>* after) {
  if (query == nullptr) return;
  const std::string name = LowerCase(query->definition.name());
  const auto set = [&](PersistentMap<std::string, Ref<const PreparedQuery>>& map) {
    after == nullptr ? static_cast<void>(map.Erase(name)) : map.Set(name, *after);
  };
  if (query->is_template()) set(head_.query_templates_);
  if (name.empty()) return;
  CountSuffixes(head_.query_suffixes_, name, after == nullptr ? -1 : 1);
  set(head_.queries_by_name_);
}

void Catalog::SetIngress(uint64_t index, const catalog::v1::IngressGateway& gateway) {
  auto gateways = head_.ingress().gateways;
  const auto [known, is_new] = gateways.try_emplace(LowerCase(gateway.name()));
  known->second.definition = gateway;
  known->second.modify_index = index;
  if (is_new) known->second.create_index = index;
  head_.ingress_ = Ref<const IngressTable>(MakeIngressTable(std::move(gateways)).release());
  head_.ingress_index_ = index;
  changed_ = true;
}

void Catalog::DeleteIngress(uint64_t index, const std::string& name) {
  auto gateways = head_.ingress().gateways;
  if (gateways.erase(LowerCase(name)) == 0) return;
  head_.ingress_ = Ref<const IngressTable>(MakeIngressTable(std::move(gateways)).release());
  head_.ingress_index_ = index;
  changed_ = true;
}

void Catalog::UpdateTags(const ServiceEntry* before, const ServiceEntry* after) {
  const auto count_missing = [this](const ServiceEntry* in, const ServiceEntry* from, int change) {
    if (in == nullptr) return;
    for (const auto& [tag, records] : in->by_tag) {
      if (from == nullptr || from->FindTag(tag) == nullptr) Count(head_.tags_, tag, change);
    }
  };
  count_missing(after, before, 1);
  count_missing(before, after, -1);
}

absl::Status Catalog::AddFromImage(const catalog::v1::ImageNode& given) {
  const auto known = [&](const char* what, const std::string& id) {
    return absl::DataLossError(absl::StrFormat("the image has %s \"%s\" of node \"%s\" twice", what,
                                               id, given.node().name()));
  };
  if (given.node().name().empty()) return absl::DataLossError("the image has a node without name");
  if (head_.FindNode(LowerCase(given.node().name())) != nullptr) {
    return absl::DataLossError(
        absl::StrFormat("the image has node \"%s\" twice", given.node().name()));
  }
  const auto add = [](auto& list, auto record, uint64_t create_index, uint64_t modify_index) {
    const auto at = FindById(list, record->id);
    if (IsAt(list, at, record->id)) return false;
    record->create_index = create_index;
    record->modify_index = modify_index;
    list.insert(at, typename std::decay_t<decltype(list)>::value_type(record.release()));
    return true;
  };
  auto entry = std::make_unique<NodeEntry>();
  entry->services.reserve(static_cast<size_t>(given.services_size()));
  entry->checks.reserve(static_cast<size_t>(given.checks_size()));
  auto node = MakeNode(given.node(), head_.datacenter_);
  node->create_index = given.create_index();
  node->modify_index = given.modify_index();
  entry->node = Ref<const Node>(node.release());
  for (const auto& service : given.services()) {
    if (!add(entry->services, MakeService(service.service()), service.create_index(),
             service.modify_index())) {
      return known("service", service.service().id());
    }
  }
  for (const auto& check : given.checks()) {
    auto record = MakeHealthCheck(check.check());
    record->service_name = check.service_name();
    if (!add(entry->checks, std::move(record), check.create_index(), check.modify_index())) {
      return known("check", check.check().id());
    }
  }
  Replace(given.entry_modify_index(), nullptr, std::move(entry), {.service_ids = {}, .all = true});
  return absl::OkStatus();
}

absl::Status Catalog::AddFromImage(const catalog::v1::ImageQuery& given) {
  catalog::v1::SetPreparedQuery change;
  *change.mutable_query() = given.query();
  change.set_create(true);
  if (const absl::Status set = SetQuery(given.modify_index(), change); !set.ok()) {
    return absl::DataLossError(set.message());
  }
  // Held by three maps by now, and by nobody who reads: made again with its first index.
  const std::string id = LowerCase(given.query().id());
  auto query = std::make_unique<PreparedQuery>(*head_.FindQueryById(id));
  query->create_index = given.create_index();
  IndexQuery(head_.FindQueryById(id), nullptr);
  const Ref<const PreparedQuery> after(query.release());
  IndexQuery(after.get(), &after);
  head_.queries_.Set(id, after);
  return absl::OkStatus();
}

absl::Status Catalog::AddFromImage(const catalog::v1::ImageGateway& given) {
  auto gateways = head_.ingress().gateways;
  const auto [added, is_new] = gateways.try_emplace(LowerCase(given.gateway().name()));
  if (!is_new) {
    return absl::DataLossError(
        absl::StrFormat("the image has gateway \"%s\" twice", given.gateway().name()));
  }
  added->second = {.definition = given.gateway(),
                   .create_index = given.create_index(),
                   .modify_index = given.modify_index()};
  head_.ingress_ = Ref<const IngressTable>(MakeIngressTable(std::move(gateways)).release());
  return absl::OkStatus();
}

void Catalog::AddFromImage(const catalog::v1::ImageServiceIndex& given) {
  ServiceChanges& changes = given.connect() ? unpublished_.connect : unpublished_.services;
  const auto found = changes.find(given.name());
  if (found != changes.end()) found->second.index = given.modify_index();
}

void Catalog::FinishImage(const catalog::v1::ImageHeader& header) {
  head_.index_ = header.index();
  head_.nodes_index_ = header.nodes_index();
  head_.services_index_ = header.services_index();
  head_.checks_index_ = header.checks_index();
  head_.queries_index_ = header.queries_index();
  head_.ingress_index_ = header.ingress_index();
  head_.extinction_index_ = header.extinction_index();
  head_.changed_unix_s_ = header.changed_unix_s();
}

void Catalog::MoveTo(uint64_t index) {
  for (uint64_t* of :
       {&head_.index_, &head_.nodes_index_, &head_.services_index_, &head_.checks_index_,
        &head_.queries_index_, &head_.ingress_index_, &head_.extinction_index_}) {
    *of = index;
  }
  for (auto& [name, change] : unpublished_.services) change.index = index;
  for (auto& [name, change] : unpublished_.connect) change.index = index;
}

void Catalog::Supersede(const Snapshot& before) {
  superseded_ = true;
  before.ForEachNode(
      [this](const NodeEntry& entry) { unpublished_.nodes.insert(LowerCase(entry.node->name)); });
  // A service that is in neither has no instances to change, and is told of nevertheless.
  before.services_.ForEach([this](const std::string& name, const ServiceSlot& slot) {
    ServiceChange& change = unpublished_.services[name];
    change.index = std::max(change.index, slot.modify_index);
  });
  before.connect_.ForEach([this](const std::string& name, const ServiceSlot& slot) {
    ServiceChange& change = unpublished_.connect[name];
    change.index = std::max(change.index, slot.modify_index);
  });
}

std::unique_ptr<const Snapshot> Catalog::MakeSnapshot() {
  const uint64_t since = std::exchange(superseded_, false) ? 0 : changes_.index;
  changes_ = {.index = head_.index_,
              .nodes = head_.nodes_index_ > since,
              .services = head_.services_index_ > since,
              .checks = head_.checks_index_ > since,
              .node_names = {unpublished_.nodes.begin(), unpublished_.nodes.end()},
              .service_names = NamesOf(unpublished_.services),
              .connect_names = NamesOf(unpublished_.connect),
              .queries = head_.queries_index_ > since,
              .ingress = head_.ingress_index_ > since};
  std::ranges::sort(changes_.node_names);
  for (const std::string& name : changes_.service_names) {
    FinishService(name, unpublished_.services[name]);
  }
  for (const std::string& name : changes_.connect_names) {
    FinishConnect(name, unpublished_.connect[name]);
  }
  for (const auto& [network, change] : unpublished_.networks) {
    if (change != 0) Count(head_.networks_, network, change);
  }
  unpublished_ = {};
  return std::make_unique<const Snapshot>(head_);
}

}  // namespace pharos::registry
