// A bounded queue from one thread to one other, without locks: the writer never waits, and a full
// ring says so.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <utility>
#include <vector>

namespace pharos {

// One thread calls Push, one other (or the same) Pop.
template <typename T>
// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): that is what keeps the threads apart.
class Ring {
 public:
  // Room for `size_min` elements or, rounded up to a power of two, some more.
  explicit Ring(size_t size_min) : slots_(std::bit_ceil(size_min)) {}

  // False, and nothing happens, when the ring is full.
  template <typename U>
  bool Push(U&& value) {
    const size_t end = end_.load(std::memory_order_relaxed);
    // Acquire: a slot that was taken out of has been read before it is written anew.
    if (end - begin_.load(std::memory_order_acquire) == slots_.size()) return false;
    slots_[end & (slots_.size() - 1)] = std::forward<U>(value);
    // Release: whoever sees the new end sees the element.
    end_.store(end + 1, std::memory_order_release);
    return true;
  }

  // False when the ring is empty.
  bool Pop(T& value) {
    const size_t begin = begin_.load(std::memory_order_relaxed);
    if (begin == end_.load(std::memory_order_acquire)) return false;
    value = std::move(slots_[begin & (slots_.size() - 1)]);
    begin_.store(begin + 1, std::memory_order_release);
    return true;
  }

  size_t capacity() const { return slots_.size(); }

 private:
  std::vector<T> slots_;
  // Counted up for ever; each on a cache line that only its thread writes.
  alignas(64) std::atomic<size_t> begin_{0};
  alignas(64) std::atomic<size_t> end_{0};
};

}  // namespace pharos
