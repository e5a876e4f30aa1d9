#include "dns/sample.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace pharos::dns {
namespace {

// Below this a copy of everything is cheaper than remembering what was drawn.
constexpr size_t kCopySizeMax = 64;
// More draws than this for one element mean that drawing is the wrong way.
constexpr size_t kDrawsPerElement = 16;
// A key behind all others.
constexpr double kLast = 1e300;

// Makes all marks of earlier draws mean nothing.
void NextStamp(size_t size, AnswerScratch& scratch) {
  if (scratch.stamps.size() < size) scratch.stamps.resize(size, 0);
  if (++scratch.stamp == 0) {
    std::fill(scratch.stamps.begin(), scratch.stamps.end(), 0);
    scratch.stamp = 1;
  }
}

// Draws positions until `count` different ones are found; what was drawn is marked with a stamp
// that is new for every call, so that nothing needs clearing.
void DrawSparse(std::span<const uint32_t> from, size_t count, Random& random,
                AnswerScratch& scratch) {
  NextStamp(from.size(), scratch);
  scratch.order.clear();
  Random::Draws draws(random);
  while (scratch.order.size() < count) {
    const uint32_t drawn = draws.Below(static_cast<uint32_t>(from.size()));
    if (scratch.stamps[drawn] == scratch.stamp) continue;
    scratch.stamps[drawn] = scratch.stamp;
    scratch.order.push_back(from[drawn]);
  }
}

uint64_t WeightAt(std::span<const uint64_t> sums, size_t i) {
  return sums[i] - (i == 0 ? 0 : sums[i - 1]);
}

// Efraimidis and Spirakis (2006): whoever has the smallest exponential variate of rate `weight`
// comes first, which is drawing by weight without putting back.
void DrawByKeys(const Population& from, size_t count, Random& random, AnswerScratch& scratch) {
  constexpr double kOneOver2To53 = 1.0 / 9007199254740992.0;
  scratch.keys.clear();
  for (size_t i = 0; i < from.size(); ++i) {
    const uint64_t weight = WeightAt(from.weight_sums, i);
    const double uniform = (static_cast<double>(random.Next() >> 11) + 1) * kOneOver2To53;
    const double key =
        weight == 0 ? kLast * (1 + uniform) : -std::log(uniform) / static_cast<double>(weight);
    scratch.keys.emplace_back(key, from.positions[i]);
  }
  const auto end = scratch.keys.begin() + static_cast<ptrdiff_t>(count);
  std::partial_sort(scratch.keys.begin(), end, scratch.keys.end());
  scratch.order.clear();
  for (size_t i = 0; i < count; ++i) scratch.order.push_back(scratch.keys[i].second);
}

// Few of many by weight: each draw is a search of the sums. False when one weighs so much that it
// is drawn again and again.
bool DrawSparseByWeight(const Population& from, size_t count, Random& random,
                        AnswerScratch& scratch) {
  const uint64_t total = from.weight_sums.back();
  if (total == 0) return false;
  NextStamp(from.size(), scratch);
  scratch.order.clear();
  for (size_t draws = kDrawsPerElement * count; draws > 0 && scratch.order.size() < count;
       --draws) {
    const uint64_t drawn = random.Next() % total;
    const auto at = static_cast<size_t>(
        std::upper_bound(from.weight_sums.begin(), from.weight_sums.end(), drawn) -
        from.weight_sums.begin());
    if (scratch.stamps[at] == scratch.stamp) continue;
    scratch.stamps[at] = scratch.stamp;
    scratch.order.push_back(from.positions[at]);
  }
  return scratch.order.size() == count;
}

}  // namespace

std::span<const uint32_t> Sample(const Population& from, size_t count, Random& random,
                                 AnswerScratch& scratch) {
  const bool sparse = from.size() > kCopySizeMax && count * 2 < from.size();
  if (!from.weight_sums.empty()) {
    if (!sparse || !DrawSparseByWeight(from, count, random, scratch)) {
      DrawByKeys(from, count, random, scratch);
    }
    return scratch.order;
  }
  if (sparse) {
    DrawSparse(from.positions, count, random, scratch);
    return scratch.order;
  }
  // Nearly always there are few.
  uint32_t* order = scratch.few.data();
  if (from.size() > scratch.few.size()) {
    scratch.order.resize(from.size());
    order = scratch.order.data();
  }
  std::copy(from.positions.begin(), from.positions.end(), order);
  const size_t draws = std::min(count, from.size() - std::min<size_t>(from.size(), 1));
  Random::Draws drawn(random);
  for (size_t i = 0; i < draws; ++i) {
    std::swap(order[i], order[i + drawn.Below(static_cast<uint32_t>(from.size() - i))]);
  }
  return {order, count};
}

std::span<const uint32_t> SampleByRank(const Population& from, std::span<const uint8_t> ranks,
                                       size_t count, Random& random, AnswerScratch& scratch) {
  scratch.ranked.clear();
  for (uint8_t rank = 0; rank < kRanksMax && scratch.ranked.size() < count; ++rank) {
    std::vector<uint32_t>& positions = scratch.positions_of_rank;
    std::vector<uint64_t>& sums = scratch.sums_of_rank;
    positions.clear();
    sums.clear();
    for (size_t i = 0; i < from.size(); ++i) {
      if (ranks[i] != rank) continue;
      positions.push_back(from.positions[i]);
      if (from.weight_sums.empty()) continue;
      sums.push_back((sums.empty() ? 0 : sums.back()) + WeightAt(from.weight_sums, i));
    }
    if (positions.empty()) continue;
    const size_t wanted = std::min(positions.size(), count - scratch.ranked.size());
    const std::span<const uint32_t> drawn = Sample({positions, sums}, wanted, random, scratch);
    scratch.ranked.insert(scratch.ranked.end(), drawn.begin(), drawn.end());
  }
  return scratch.ranked;
}

}  // namespace pharos::dns
