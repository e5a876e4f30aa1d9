#include "registry/selection.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace pharos::registry {

Selection::Selection(const Parts& parts) {
  const size_t size = parts.positions.size();
  if (size == 0) return;
  const bool weighted = !parts.weights.empty();
  void* memory = ::operator new(SumsOffset(size) + (weighted ? size * sizeof(uint64_t) : 0));
  auto* block = new (memory) Block;
  block->size = static_cast<uint32_t>(size);
  block->passing_count = parts.passing_count;
  block->healthy_count = parts.healthy_count;
  block->weighted = weighted;
  block->merged = parts.merged;
  std::memcpy(static_cast<uint8_t*>(memory) + sizeof(Block), parts.positions.data(),
              size * sizeof(uint32_t));
  if (weighted) {
    auto* sums = reinterpret_cast<uint64_t*>(static_cast<uint8_t*>(memory) + SumsOffset(size));
    uint64_t sum = 0;
    for (size_t i = 0; i < size; ++i) sums[i] = sum += parts.weights[i];
  }
  block_ = Ref<const Block>(block);
}

bool operator==(const Selection& a, const Selection& b) {
  if (a.SharesWith(b)) return true;
  return a.passing_count() == b.passing_count() && a.healthy_count() == b.healthy_count() &&
         a.merged() == b.merged() && std::ranges::equal(a.positions(), b.positions()) &&
         std::ranges::equal(a.WeightSums(Include::kAll), b.WeightSums(Include::kAll));
}

Selection SelectionPool::Make(const Selection::Parts& parts) {
  const size_t size = parts.positions.size();
  // Positions rise where all have one health, so the last one tells whether any is missing.
  const bool usual = size > 0 && size <= kSharedMax && parts.passing_count == size &&
                     parts.positions.back() == size - 1 && parts.weights.empty() && !parts.merged;
  if (!usual) return Selection(parts);
  Selection& shared = all_passing_[size];
  if (shared.size() == 0) shared = Selection(parts);
  return shared;
}

}  // namespace pharos::registry
