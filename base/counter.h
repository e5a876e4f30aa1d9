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

// How often a duration was at most so long; one thread writes.
class DurationHistogram {
 public:
  // Upper bounds of the buckets, in microseconds; what is longer is in a last one of its own.
  static constexpr std::array<uint64_t, 15> kBoundsUs = {
      1, 2, 5, 10, 20, 50, 100, 200, 500, 1'000, 2'000, 5'000, 10'000, 100'000, 1'000'000};

  // Begins a new interval for the extremes of every histogram in the process; from any thread.
  static void BeginInterval() { interval_.fetch_add(1, std::memory_order_relaxed); }

  void Add(uint64_t nanoseconds, uint64_t times = 1) {
    size_t bucket = 0;
    while (bucket < kBoundsUs.size() && nanoseconds > kBoundsUs[bucket] * 1000) ++bucket;
    buckets_[bucket].Add(times);
    sum_ns_.Add(nanoseconds * times);
    const double us = static_cast<double>(nanoseconds) / 1000;
    squares_us2_.store(
        squares_us2_.load(std::memory_order_relaxed) + us * us * static_cast<double>(times),
        std::memory_order_relaxed);
    // An extreme that is written while the interval changes may be lost, and nothing else.
    const uint64_t interval = interval_.load(std::memory_order_relaxed);
    const bool first = interval != extremes_of_.value();
    if (first || nanoseconds < shortest_ns_.value()) shortest_ns_.Set(nanoseconds);
    if (first || nanoseconds > longest_ns_.value()) longest_ns_.Set(nanoseconds);
    if (first) extremes_of_.Set(interval);
  }
  // Of one bucket alone, not of those below it.
  uint64_t bucket(size_t i) const { return buckets_[i].value(); }
  uint64_t sum_ns() const { return sum_ns_.value(); }
  // The sum of the durations' squares, in square microseconds.
  double squares_us2() const { return squares_us2_.load(std::memory_order_relaxed); }
  // Of the present interval; meaningless while it has none.
  bool has_extremes() const {
    return extremes_of_.value() == interval_.load(std::memory_order_relaxed);
  }
  uint64_t shortest_ns() const { return shortest_ns_.value(); }
  uint64_t longest_ns() const { return longest_ns_.value(); }

 private:
  inline static std::atomic<uint64_t> interval_{1};

  std::array<Counter, kBoundsUs.size() + 1> buckets_;
  Counter sum_ns_;
  std::atomic<double> squares_us2_{0};
  Counter shortest_ns_, longest_ns_, extremes_of_;
};

}  // namespace pharos
