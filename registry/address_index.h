// Who has an IP address, for reverse look-ups. Nearly every address has one holder, so that the
// index points at it and has no record of its own; copies share structure
// (registry/persistent_map.h).
#pragma once

#include <cstdint>
#include <span>
#include <variant>
#include <vector>

#include "base/ip_address.h"
#include "registry/persistent_map.h"
#include "registry/ref.h"
#include "registry/types.h"

namespace pharos::registry {

// The holders of an address. Borrowed from the index they were found in.
struct AddressHolders {
  std::span<const Ref<const Node>> nodes;        // By name in lower case.
  std::span<const Ref<const Service>> services;  // By name in lower case.
  bool empty() const { return nodes.empty() && services.empty(); }
};

// Changed and copied on the writer's thread; read on any.
class AddressIndex {
 public:
  // Nobody for an address that is not there.
  AddressHolders Find(const IpAddress& address) const;
  // Asks the processor for what a change at each of the addresses reads, so that the waits for
  // memory overlap.
  void Prefetch(std::span<const IpAddress> addresses) const;
  // Puts `after` in the place of `before`; null: is not there. Each is a node or a service.
  // Returns by how many the addresses that somebody has become more: -1, 0 or 1.
  int Replace(const IpAddress& address, const Node* before, const Ref<const Node>* after);
  int Replace(const IpAddress& address, const Service* before, const Ref<const Service>* after);

 private:
  struct Several : RefCounted {
    std::vector<Ref<const Node>> nodes;
    std::vector<Ref<const Service>> services;
  };
  using Holder = std::variant<Ref<const Node>, Ref<const Service>, Ref<const Several>>;
  // IPv4 addresses are most of all by far, and short.
  using V4Key = uint32_t;

  static V4Key KeyOf(const IpAddress& v4);
  void Set(const IpAddress& address, Holder holder);
  template <typename T>
  int ReplaceIn(std::vector<Ref<const T>> Several::*list, const IpAddress& address, const T* before,
                const Ref<const T>* after);

  PersistentMap<V4Key, Holder> v4_;
  PersistentMap<IpAddress, Holder> v6_;
};

}  // namespace pharos::registry
