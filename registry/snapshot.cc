#include "registry/snapshot.h"

#include <algorithm>

#include "registry/network_key.h"

namespace pharos::registry {

const RecordSet* ServiceEntry::FindTag(std::string_view tag) const {
  const auto found = std::lower_bound(
      by_tag.begin(), by_tag.end(), tag,
      [](const auto& entry, std::string_view wanted) { return entry.first < wanted; });
  return found != by_tag.end() && found->first == tag ? &found->second : nullptr;
}

const NodeEntry* Snapshot::FindNode(std::string_view lower_name) const {
  const Ref<const NodeEntry>* found = nodes_.Find(lower_name);
  return found == nullptr ? nullptr : found->get();
}

const ServiceEntry* Snapshot::FindService(std::string_view lower_name) const {
  const ServiceSlot* found = services_.Find(lower_name);
  return found == nullptr ? nullptr : found->entry.get();
}

uint64_t Snapshot::ServiceIndex(std::string_view lower_name) const {
  const ServiceSlot* found = services_.Find(lower_name);
  return found == nullptr ? extinction_index_ : found->modify_index;
}

const ServiceEntry* Snapshot::FindConnect(std::string_view lower_name) const {
  const ServiceSlot* found = connect_.Find(lower_name);
  return found == nullptr ? nullptr : found->entry.get();
}

uint64_t Snapshot::ConnectIndex(std::string_view lower_name) const {
  const ServiceSlot* found = connect_.Find(lower_name);
  return found == nullptr ? services_index_ : found->modify_index;
}

const IngressTable& Snapshot::ingress() const {
  static const IngressTable kNone;
  return ingress_ ? *ingress_ : kNone;
}

const PreparedQuery* Snapshot::FindQueryById(std::string_view lower_id) const {
  const Ref<const PreparedQuery>* found = queries_.Find(lower_id);
  return found == nullptr ? nullptr : found->get();
}

const PreparedQuery* Snapshot::FindQueryByName(std::string_view lower_name) const {
  const Ref<const PreparedQuery>* found = queries_by_name_.Find(lower_name);
  return found == nullptr ? nullptr : found->get();
}

const PreparedQuery* Snapshot::FindQueryTemplate(std::string_view lower_name) const {
  if (query_templates_.empty()) return nullptr;
  for (size_t length = lower_name.size() + 1; length-- > 0;) {
    const Ref<const PreparedQuery>* found = query_templates_.Find(lower_name.substr(0, length));
    if (found != nullptr) return found->get();
  }
  return nullptr;
}

bool Snapshot::HasQueryBelow(std::string_view lower_suffix) const {
  return query_suffixes_.Find(lower_suffix) != nullptr;
}

bool Snapshot::HasNodeBelow(std::string_view lower_suffix) const {
  return node_suffixes_.Find(lower_suffix) != nullptr;
}

bool Snapshot::HasAddressNear(const IpAddress& network, size_t prefix_bits) const {
  const size_t counted_bits = prefix_bits - prefix_bits % NetworkStepBits(network);
  if (counted_bits == 0) return true;
  return networks_.Find(NetworkKey(network, counted_bits)) != nullptr;
}

bool Snapshot::HasTag(std::string_view lower_tag) const { return tags_.Find(lower_tag) != nullptr; }

}  // namespace pharos::registry
