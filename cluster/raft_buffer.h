// Memory that libraft takes over or gave away.
#pragma once

#include <cstddef>
#include <utility>

#include "base/octets.h"

namespace pharos::cluster {

class RaftBuffer {
 public:
  RaftBuffer() = default;
  // `size` octets, not filled in.
  explicit RaftBuffer(size_t size);
  // Owns what libraft allocated.
  RaftBuffer(void* base, size_t size) : base_(base), size_(size) {}
  RaftBuffer(RaftBuffer&& other) noexcept
      : base_(std::exchange(other.base_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  RaftBuffer& operator=(RaftBuffer&& other) noexcept {
    std::swap(base_, other.base_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~RaftBuffer();

  uint8_t* data() const { return static_cast<uint8_t*>(base_); }
  size_t size() const { return size_; }
  Octets octets() const { return {data(), size_}; }
  // The caller is to free it by raft_free.
  void* Release() {
    size_ = 0;
    return std::exchange(base_, nullptr);
  }

 private:
  void* base_ = nullptr;
  size_t size_ = 0;
};

}  // namespace pharos::cluster
