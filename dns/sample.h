// Random subsets: which instances an answer shows, and in which order.
#pragma once

#include <cstdint>
#include <span>

#include "base/random.h"
#include "dns/answer.h"

namespace pharos::dns {

// What is drawn from: positions, and the running sums of their weights (empty: all weigh the same).
struct Population {
  std::span<const uint32_t> positions;
  std::span<const uint64_t> weight_sums = {};

  size_t size() const { return positions.size(); }
};

// `count` (at most from.size()) different elements of `from`, drawn one after the other with
// chances by weight; equal weights make each subset and each order as likely as any other. What
// weighs 0 comes last. O(count) for small counts of equal weights, O(count log n) for small counts
// of others. The result is in `scratch` until the next call.
std::span<const uint32_t> Sample(const Population& from, size_t count, Random& random,
                                 AnswerScratch& scratch);

// The same with the elements of the lowest rank first, and those of each rank sampled among
// themselves. `ranks` (below kRanksMax) are those of `from`. O(n).
inline constexpr uint8_t kRanksMax = 4;
std::span<const uint32_t> SampleByRank(const Population& from, std::span<const uint8_t> ranks,
                                       size_t count, Random& random, AnswerScratch& scratch);

}  // namespace pharos::dns
