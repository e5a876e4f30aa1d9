// A count that one thread writes and any thread may read.
#pragma once

#include <atomic>
#include <cstdint>

namespace pharos::dns {

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

}  // namespace pharos::dns
