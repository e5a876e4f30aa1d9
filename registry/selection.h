// Which instances of a service answer a kind of question: positions in its list, in one block of
// memory that those who have the same positions share.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/prefetch.h"
#include "registry/ref.h"

namespace pharos::registry {

// Which instances count, by their health.
enum class Include : uint8_t {
  kPassing,
  kHealthy,  // All but the critical ones.
  kAll,
};

// Positions in a list of instances: the passing ones, then the warning ones, then the critical
// ones, so that those who want fewer take the first; in rising order within each. Immutable; made,
// copied and destroyed on the writer's thread (registry/ref.h), read by reference on any.
class Selection {
 public:
  // What a selection is made of.
  struct Parts {
    std::vector<uint32_t> positions;
    uint32_t passing_count = 0;
    uint32_t healthy_count = 0;  // Passing and warning.
    // Of each position; empty where all weigh the same.
    std::vector<uint32_t> weights;
    // Whether somebody was left out for an address that another one has too.
    bool merged = false;
  };

  Selection() = default;  // Nobody.
  explicit Selection(const Parts& parts);

  size_t size() const { return block_ ? block_->size : 0; }
  size_t passing_count() const { return block_ ? block_->passing_count : 0; }
  size_t healthy_count() const { return block_ ? block_->healthy_count : 0; }
  size_t Count(Include include) const {
    return include == Include::kPassing   ? passing_count()
           : include == Include::kHealthy ? healthy_count()
                                          : size();
  }
  std::span<const uint32_t> positions() const { return {PositionsOf(block_.get()), size()}; }
  std::span<const uint32_t> Get(Include include) const { return positions().first(Count(include)); }
  // The sum of the weights of the first to each position of Get; empty where all weigh the same.
  std::span<const uint64_t> WeightSums(Include include) const {
    if (!block_ || !block_->weighted) return {};
    return {SumsOf(block_.get()), Count(include)};
  }
  bool merged() const { return block_ && block_->merged; }

  // Asks the processor for the block and its first positions.
  void Prefetch() const { PrefetchLine(block_.get()); }
  bool SharesWith(const Selection& other) const { return block_ == other.block_; }
  friend bool operator==(const Selection& a, const Selection& b);

 private:
  // The positions follow, and where they are weighted, the sums behind them.
  struct Block : RefCounted {
    uint32_t size;
    uint32_t passing_count;
    uint32_t healthy_count;
    bool weighted;
    bool merged;

    static void operator delete(void* block) { ::operator delete(block); }
  };

  static size_t SumsOffset(size_t size) {
    return (sizeof(Block) + size * sizeof(uint32_t) + 7) / 8 * 8;
  }
  // Of no block, any address does; as a pointer, null could not be added to.
  static const uint32_t* PositionsOf(const Block* block) {
    // NOLINTNEXTLINE(performance-no-int-to-ptr)
    return reinterpret_cast<const uint32_t*>(reinterpret_cast<uintptr_t>(block) + sizeof(Block));
  }
  static const uint64_t* SumsOf(const Block* block) {
    return reinterpret_cast<const uint64_t*>(reinterpret_cast<const uint8_t*>(block) +
                                             SumsOffset(block->size));
  }

  Ref<const Block> block_;
};

// The selections that most services have: all of a few instances, passing, of one weight. Made
// once, so that they cost a service nothing and are in the processor's caches. The writer's thread.
class SelectionPool {
 public:
  // A selection of these parts, perhaps one that others have.
  Selection Make(const Selection::Parts& parts);

 private:
  static constexpr size_t kSharedMax = 64;
  std::array<Selection, kSharedMax + 1> all_passing_;
};

}  // namespace pharos::registry
