// Counts that one thread writes and any thread may read.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace pharos {

class Counter {
 public:
  // Relaxed, and no read-modify-write: there is one writer, and a count orders nothing.
  void Add(uint64_t by = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }
  void Set(uint64_t value) { value_.store(value, std::memory_order_relaxed); }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

// How often a duration was at most so long.
class DurationHistogram {
 public:
  // Upper bounds of the buckets, in microseconds; what is longer is in a last one of its own.
  static constexpr std::array<uint64_t, 15> kBoundsUs = {
      1, 2, 5, 10, 20, 50, 100, 200, 500, 1'000, 2'000, 5'000, 10'000, 100'000, 1'000'000};

  void Add(uint64_t nanoseconds, uint64_t times = 1) {
    size_t bucket = 0;
    while (bucket < kBoundsUs.size() && nanoseconds > kBoundsUs[bucket] * 1000) ++bucket;
    buckets_[bucket].Add(times);
    sum_ns_.Add(nanoseconds * times);
  }
  // Of one bucket alone, not of those below it.
  uint64_t bucket(size_t i) const { return buckets_[i].value(); }
  uint64_t sum_ns() const { return sum_ns_.value(); }

 private:
  std::array<Counter, kBoundsUs.size() + 1> buckets_;
  Counter sum_ns_;
};

}  // namespace pharos
