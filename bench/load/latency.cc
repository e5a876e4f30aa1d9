#include "bench/load/latency.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace pharos::load {

size_t LatencyHistogram::BucketOf(int64_t nanoseconds) {
  constexpr int64_t kMost = (int64_t{1} << (kSubBits + kPowers)) - 1;
  const auto value = static_cast<uint64_t>(std::clamp<int64_t>(nanoseconds, 0, kMost));
  const int power = std::max(0, static_cast<int>(std::bit_width(value)) - kSubBits);
  // From the second power on the highest bit is always set, so half of the sub-buckets stay empty:
  // simpler than packing them.
  return static_cast<size_t>(power) * kSubBuckets + static_cast<size_t>(value >> power);
}

int64_t LatencyHistogram::UpperEdge(size_t bucket) {
  const int power = static_cast<int>(bucket / kSubBuckets);
  const auto sub = static_cast<int64_t>(bucket % kSubBuckets);
  return ((sub + 1) << power) - 1;
}

void LatencyHistogram::Add(int64_t nanoseconds) {
  ++buckets_[BucketOf(nanoseconds)];
  ++count_;
  max_ = std::max(max_, nanoseconds);
}

absl::Duration LatencyHistogram::Quantile(double q) const {
  if (count_ == 0) return absl::ZeroDuration();
  const auto rank = static_cast<uint64_t>(std::ceil(q * static_cast<double>(count_)));
  uint64_t seen = 0;
  for (size_t bucket = 0; bucket < buckets_.size(); ++bucket) {
    seen += buckets_[bucket];
    if (seen >= rank && seen > 0) {
      return absl::Nanoseconds(std::min(UpperEdge(bucket), max_));
    }
  }
  return absl::Nanoseconds(max_);
}

}  // namespace pharos::load
