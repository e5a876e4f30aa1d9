#include "dns/sample.h"

#include <algorithm>
#include <utility>

namespace pharos::dns {
namespace {

// Below this a copy of everything is cheaper than remembering what was drawn.
constexpr size_t kCopySizeMax = 64;

// Draws positions until `count` different ones are found; what was drawn is marked with a stamp
// that is new for every call, so that nothing needs clearing.
void DrawSparse(std::span<const uint32_t> from, size_t count, Random& random,
                AnswerScratch& scratch) {
  if (scratch.stamps.size() < from.size()) scratch.stamps.resize(from.size(), 0);
  if (++scratch.stamp == 0) {
    std::fill(scratch.stamps.begin(), scratch.stamps.end(), 0);
    scratch.stamp = 1;
  }
  scratch.order.clear();
  while (scratch.order.size() < count) {
    const uint32_t drawn = random.Below(static_cast<uint32_t>(from.size()));
    if (scratch.stamps[drawn] == scratch.stamp) continue;
    scratch.stamps[drawn] = scratch.stamp;
    scratch.order.push_back(from[drawn]);
  }
}

}  // namespace

std::span<const uint32_t> Sample(std::span<const uint32_t> from, size_t count, Random& random,
                                 AnswerScratch& scratch) {
  if (from.size() > kCopySizeMax && count * 2 < from.size()) {
    DrawSparse(from, count, random, scratch);
    return scratch.order;
  }
  scratch.order.assign(from.begin(), from.end());
  for (size_t i = 0; i < count && i + 1 < from.size(); ++i) {
    const size_t other = i + random.Below(static_cast<uint32_t>(from.size() - i));
    std::swap(scratch.order[i], scratch.order[other]);
  }
  return std::span<const uint32_t>(scratch.order).first(count);
}

}  // namespace pharos::dns
