#include "registry/catalog.h"

#include <algorithm>
#include <optional>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "registry/command.h"
#include "registry/make_records.h"
#include "registry/network_key.h"
#include "registry/records.h"

namespace pharos::registry {
namespace {

// The record to keep: the one before if nothing in it changes, so that its index stands still.
template <typename T>
Ref<const T> KeepOrReplace(const Ref<const T>* before, std::unique_ptr<T> after, uint64_t index) {
  if (before != nullptr && SameContent(**before, *after)) return *before;
  after->create_index = before == nullptr ? index : (*before)->create_index;
  after->modify_index = index;
  return Ref<const T>(after.release());
}

// The element of a list sorted by id (without regard to case), or where it would go.
template <typename T>
auto FindById(std::vector<Ref<const T>>& list, std::string_view id) {
  return std::lower_bound(list.begin(), list.end(), id,
                          [](const Ref<const T>& element, std::string_view wanted) {
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

// The checks of a node, read once for all its services.
class NodeChecks {
 public:
  explicit NodeChecks(const NodeEntry* entry) {
    if (entry == nullptr) return;
    for (const auto& check : entry->checks) {
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

  Of node_;
  absl::flat_hash_map<std::string, Of> services_;
};

// Takes `before` (null: nothing) out of a list sorted by name, and puts `after` (null: nothing) in.
template <typename T>
void ReplaceByName(std::vector<Ref<const T>>& list, const T* before, const Ref<const T>* after) {
  std::erase_if(list, [before](const Ref<const T>& element) { return element.get() == before; });
  if (after == nullptr) return;
  const auto at = std::upper_bound(list.begin(), list.end(), *after,
                                   [](const Ref<const T>& a, const Ref<const T>& b) {
                                     return LessIgnoringCase(a->name, b->name);
                                   });
  list.insert(at, *after);
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
void CountNetworks(PersistentMap<std::string, uint32_t>& counts, const IpAddress& ip, int change) {
  const size_t step = NetworkStepBits(ip);
  for (size_t bits = step; bits < 8 * ip.octets().size(); bits += step) {
    Count(counts, NetworkKey(ip, bits), change);
  }
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
  Deregister(index, command.deregister());
  return absl::OkStatus();
}

absl::Status Catalog::Register(uint64_t index, const catalog::v1::Register& change) {
  const NodeEntry* before = head_.FindNode(LowerCase(change.node().name()));
  auto after =
      before == nullptr ? std::make_unique<NodeEntry>() : std::make_unique<NodeEntry>(*before);
  if (before == nullptr || !change.skip_node_update()) {
    after->node = KeepOrReplace(before == nullptr ? nullptr : &before->node,
                                MakeNode(change.node(), head_.datacenter_), index);
  }
  for (const auto& service : change.services()) {
    Upsert(after->services, MakeService(service), index);
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
    Upsert(after->checks, std::move(check), index);
  }
  Replace(index, before, std::move(after));
  return absl::OkStatus();
}

void Catalog::Deregister(uint64_t index, const catalog::v1::Deregister& change) {
  const NodeEntry* before = head_.FindNode(LowerCase(change.node()));
  if (before == nullptr) return;
  if (change.service_id().empty() && change.check_id().empty()) {
    Replace(index, before, nullptr);
    return;
  }
  auto after = std::make_unique<NodeEntry>(*before);
  if (!change.service_id().empty()) {
    const auto at = FindById(after->services, change.service_id());
    if (IsAt(after->services, at, change.service_id())) after->services.erase(at);
    const std::string id = LowerCase(change.service_id());
    std::erase_if(after->checks,
                  [&id](const auto& check) { return LowerCase(check->service_id) == id; });
  }
  if (!change.check_id().empty()) {
    const auto at = FindById(after->checks, change.check_id());
    if (IsAt(after->checks, at, change.check_id())) after->checks.erase(at);
  }
  Replace(index, before, std::move(after));
}

void Catalog::Replace(uint64_t index, const NodeEntry* before,
                      std::unique_ptr<NodeEntry> replacement) {
  if (before != nullptr && replacement != nullptr && HoldsTheSame(*before, *replacement)) return;
  changed_ = true;
  if (replacement != nullptr) replacement->modify_index = index;
  Ref<const NodeEntry> after(replacement.release());
  // Holds the old entry until everything that refers to it is brought up to date.
  const Ref<const NodeEntry> kept(before);
  UpdateIndexes(index, before, after.get());
  UpdateInstances(index, before, after.get());
  UpdateAddress(&AddressEntry::nodes, before == nullptr ? nullptr : before->node.get(),
                after ? &after->node : nullptr);
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

void Catalog::UpdateInstances(uint64_t index, const NodeEntry* before, const NodeEntry* after) {
  static const std::vector<Ref<const Service>> kNone;
  const auto& old_services = before == nullptr ? kNone : before->services;
  const auto& new_services = after == nullptr ? kNone : after->services;
  const std::string node_key = LowerCase((after != nullptr ? after : before)->node->name);
  const bool same_node = before != nullptr && after != nullptr && before->node == after->node;

  const NodeChecks old_checks(before), new_checks(after);

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
    const InstanceKey key{node_key, LowerCase((is != nullptr ? is : was)->get()->id)};
    const Health health = new_checks.WorstOf(key.second);
    if (was != nullptr && is != nullptr && *was == *is && same_node) {
      if (NodeChecks::SameFor(key.second, old_checks, new_checks)) continue;
      ServiceChange& change = unpublished_.services[LowerCase((*is)->name)];
      change.index = index;
      // What a check says has changed, but not what it means for the instance.
      if (health == old_checks.WorstOf(key.second)) continue;
    }
    UpdateAddress(&AddressEntry::services, was == nullptr ? nullptr : was->get(), is);
    if (was != nullptr && (is == nullptr || LowerCase((*was)->name) != LowerCase((*is)->name))) {
      ServiceChange& change = unpublished_.services[LowerCase((*was)->name)];
      change.index = index;
      change.instances[key] = {};
    }
    if (is != nullptr) {
      ServiceChange& change = unpublished_.services[LowerCase((*is)->name)];
      change.index = index;
      change.instances[key] = MakeInstance(after->node, *is, health);
    }
  }
}

template <typename T>
void Catalog::UpdateAddress(std::vector<Ref<const T>> AddressEntry::*list, const T* before,
                            const Ref<const T>* after) {
  if (after != nullptr && after->get() == before) return;
  const auto update = [&](const IpAddress& ip, const Ref<const T>* add) {
    const AddressEntry* old = head_.FindAddress(ip);
    auto entry =
        old == nullptr ? std::make_unique<AddressEntry>() : std::make_unique<AddressEntry>(*old);
    ReplaceByName((*entry).*list, before, add);
    if (entry->nodes.empty() && entry->services.empty()) {
      if (head_.addresses_.Erase(ip)) CountNetworks(head_.networks_, ip, -1);
    } else {
      if (old == nullptr) CountNetworks(head_.networks_, ip, 1);
      head_.addresses_.Set(ip, Ref<const AddressEntry>(entry.release()));
    }
  };
  const auto old_ip = before == nullptr ? std::nullopt : IpAddress::Parse(before->address);
  const auto new_ip = after == nullptr ? std::nullopt : IpAddress::Parse((*after)->address);
  if (old_ip) update(*old_ip, old_ip == new_ip ? after : nullptr);
  if (new_ip && old_ip != new_ip) update(*new_ip, after);
}

// Merges what changed into the service's instances, which stay sorted by their key.
void Catalog::FinishService(const std::string& name, const ServiceChange& changed) {
  const ServiceSlot* slot = head_.services_.Find(name);
  if (slot != nullptr && changed.instances.empty()) {
    head_.services_.Set(name, {slot->entry, changed.index});
    return;
  }
  const ServiceEntry* before = slot == nullptr ? nullptr : slot->entry.get();
  const auto& changes = changed.instances;
  auto entry = std::make_unique<ServiceEntry>();
  entry->name = name;
  auto change = changes.begin();
  const auto take_change = [&] {
    if (change->second) entry->instances.push_back(change->second);
    ++change;
  };
  if (before != nullptr) {
    for (const Ref<const Instance>& instance : before->instances) {
      const InstanceKey key{LowerCase(instance->node->name), LowerCase(instance->service->id)};
      while (change != changes.end() && change->first < key) take_change();
      if (change != changes.end() && change->first == key) {
        take_change();
      } else {
        entry->instances.push_back(instance);
      }
    }
  }
  while (change != changes.end()) take_change();
  if (entry->instances.empty()) {
    UpdateTags(before, nullptr);
    if (head_.services_.Erase(name)) head_.extinction_index_ = changed.index;
    return;
  }
  FillServiceRecords(*entry);
  UpdateTags(before, entry.get());
  head_.services_.Set(name, {Ref<const ServiceEntry>(entry.release()), changed.index});
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

std::unique_ptr<const Snapshot> Catalog::MakeSnapshot() {
  const uint64_t since = changes_.index;
  changes_ = {.index = head_.index_,
              .nodes = head_.nodes_index_ > since,
              .services = head_.services_index_ > since,
              .checks = head_.checks_index_ > since,
              .node_names = {},
              .service_names = {}};
  for (const auto& [name, change] : unpublished_.services) {
    FinishService(name, change);
    changes_.service_names.push_back(name);
  }
  changes_.node_names.assign(unpublished_.nodes.begin(), unpublished_.nodes.end());
  unpublished_ = {};
  return std::make_unique<const Snapshot>(head_);
}

}  // namespace pharos::registry
