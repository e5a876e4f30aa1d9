// What happened to the instances of a service since its last snapshot.
#pragma once

#include <cstddef>
#include <vector>

#include "registry/ref.h"
#include "registry/types.h"

namespace pharos::registry {

// How a service's instances are sorted: by node name, then by service id, both without regard to
// case.
struct InstanceKey {
  const Node* node;
  const Service* service;
};
// Below 0 where a comes before b, 0 where they are the same instance.
int Compare(const InstanceKey& a, const InstanceKey& b);

// An instance that was put in its place, or whose place is empty now. The records say which.
struct InstanceChange {
  Ref<const Node> node;
  Ref<const Service> service;
  Ref<const Instance> instance;  // Null: removed.

  InstanceKey key() const { return {node.get(), service.get()}; }
};

// The writer's thread. Bounded by twice as many changes as there are instances changed, and a few.
class InstanceChanges {
 public:
  void Add(InstanceChange change);
  bool empty() const { return changes_.empty(); }
  // By key, the last word on each.
  const std::vector<InstanceChange>& Sorted();

 private:
  static constexpr size_t kUnsortedMax = 32;

  std::vector<InstanceChange> changes_;
  size_t sorted_ = 0;  // So many at the beginning are in order, each key once.
};

}  // namespace pharos::registry
