#include "registry/instance_changes.h"

#include <algorithm>
#include <utility>

#include "base/prefetch.h"
#include "registry/records.h"

namespace pharos::registry {

int Compare(const InstanceKey& a, const InstanceKey& b) {
  const int by_node = a.node == b.node ? 0 : CompareIgnoringCase(a.node->name, b.node->name);
  return by_node != 0 ? by_node : CompareIgnoringCase(a.service->id, b.service->id);
}

void InstanceChanges::Add(InstanceChange change) {
  changes_.push_back(std::move(change));
  if (changes_.size() > 2 * sorted_ + kUnsortedMax) Sorted();
}

const std::vector<InstanceChange>& InstanceChanges::Sorted() {
  if (sorted_ == changes_.size()) return changes_;
  // They lie all over the memory, and to compare them is to wait for each.
  for (const InstanceChange& change : changes_) {
    PrefetchLine(change.node.get());
    PrefetchLine(change.service.get());
    PrefetchLine(change.instance.get());
  }
  std::ranges::stable_sort(changes_, [](const InstanceChange& a, const InstanceChange& b) {
    return Compare(a.key(), b.key()) < 0;
  });
  // Of those with one key the last one stays: seen from the end, the first.
  const auto last_words = std::unique(changes_.rbegin(), changes_.rend(),
                                      [](const InstanceChange& a, const InstanceChange& b) {
                                        return Compare(a.key(), b.key()) == 0;
                                      });
  changes_.erase(changes_.begin(), last_words.base());
  sorted_ = changes_.size();
  return changes_;
}

}  // namespace pharos::registry
