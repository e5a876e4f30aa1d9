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

const AddressEntry* Snapshot::FindAddress(const IpAddress& address) const {
  const Ref<const AddressEntry>* found = addresses_.Find(address);
  return found == nullptr ? nullptr : found->get();
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
