#include "registry/address_index.h"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "registry/records.h"

namespace pharos::registry {
namespace {

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

template <typename Map, typename Key>
void PrefetchAll(const Map& map, std::span<const Key> keys) {
  absl::InlinedVector<typename Map::Cursor, 16> cursors;
  for (const Key& key : keys) cursors.push_back(map.Start(HashKey(key)));
  for (auto& cursor : cursors) Map::PrefetchShard(cursor);
  for (auto& cursor : cursors) Map::PrefetchEntry(cursor);
}

}  // namespace

AddressIndex::V4Key AddressIndex::KeyOf(const IpAddress& v4) {
  std::array<uint8_t, sizeof(V4Key)> octets{};
  std::ranges::copy(v4.octets(), octets.begin());
  return std::bit_cast<V4Key>(octets);
}

AddressHolders AddressIndex::Find(const IpAddress& address) const {
  const Holder* const found = address.is_v4() ? v4_.Find(KeyOf(address)) : v6_.Find(address);
  if (found == nullptr) return {};
  if (const auto* node = std::get_if<Ref<const Node>>(found)) return {{node, 1}, {}};
  if (const auto* service = std::get_if<Ref<const Service>>(found)) return {{}, {service, 1}};
  const Several& several = *std::get<Ref<const Several>>(*found);
  return {several.nodes, several.services};
}

void AddressIndex::Prefetch(std::span<const IpAddress> addresses) const {
  absl::InlinedVector<V4Key, 16> v4;
  absl::InlinedVector<IpAddress, 1> v6;
  for (const IpAddress& address : addresses) {
    if (address.is_v4()) {
      v4.push_back(KeyOf(address));
    } else {
      v6.push_back(address);
    }
  }
  PrefetchAll<decltype(v4_), V4Key>(v4_, v4);
  PrefetchAll<decltype(v6_), IpAddress>(v6_, v6);
}

void AddressIndex::Set(const IpAddress& address, Holder holder) {
  if (address.is_v4()) {
    v4_.Set(KeyOf(address), std::move(holder));
  } else {
    v6_.Set(address, std::move(holder));
  }
}

template <typename T>
int AddressIndex::ReplaceIn(std::vector<Ref<const T>> Several::*list, const IpAddress& address,
                            const T* before, const Ref<const T>* after) {
  const AddressHolders was = Find(address);
  Several several;
  several.nodes.assign(was.nodes.begin(), was.nodes.end());
  several.services.assign(was.services.begin(), was.services.end());
  const bool known = !was.empty();
  ReplaceByName(several.*list, before, after);
  const size_t count = several.nodes.size() + several.services.size();
  if (count == 0) {
    if (known && address.is_v4()) v4_.Erase(KeyOf(address));
    if (known && address.is_v6()) v6_.Erase(address);
  } else if (count > 1) {
    Set(address, MakeRef<const Several>(std::move(several)));
  } else if (!several.nodes.empty()) {
    Set(address, several.nodes.front());
  } else {
    Set(address, several.services.front());
  }
  return static_cast<int>(count > 0) - static_cast<int>(known);
}

int AddressIndex::Replace(const IpAddress& address, const Node* before,
                          const Ref<const Node>* after) {
  return ReplaceIn(&Several::nodes, address, before, after);
}

int AddressIndex::Replace(const IpAddress& address, const Service* before,
                          const Ref<const Service>* after) {
  return ReplaceIn(&Several::services, address, before, after);
}

}  // namespace pharos::registry
