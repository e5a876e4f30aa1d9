// Latencies, counted in buckets: small, of fixed size, with quantiles at most 3.2 % too high.
#pragma once

#include <array>
#include <cstdint>

#include "absl/time/time.h"

namespace pharos::load {

class LatencyHistogram {
 public:
  void Add(int64_t nanoseconds);
  uint64_t count() const { return count_; }
  // The latency that a share `q` (0 to 1) of all stayed within; the greatest one for 1. Zero when
  // nothing was added.
  absl::Duration Quantile(double q) const;

 private:
  // 64 buckets of one nanosecond, then 64 (32 used) for each further power of two up to 2^46 ns (19
  // hours).
  static constexpr int kSubBits = 6;
  static constexpr int64_t kSubBuckets = int64_t{1} << kSubBits;
  static constexpr int kPowers = 40;
  static size_t BucketOf(int64_t nanoseconds);
  static int64_t UpperEdge(size_t bucket);

  std::array<uint64_t, (kPowers + 1) * kSubBuckets> buckets_{};
  uint64_t count_ = 0;
  int64_t max_ = 0;
};

}  // namespace pharos::load
