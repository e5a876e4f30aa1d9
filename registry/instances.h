// The instances of a service by position, in chunks that successive versions of the list share: a
// change of one instance among thousands copies its chunk.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "registry/ref.h"
#include "registry/types.h"

namespace pharos::registry {

// Made and copied on the writer's thread; read on any.
class InstanceSequence {
  static constexpr size_t kChunkSize = 64;

  // The instances follow in the same block: kChunkSize of them, but for the last chunk.
  class Chunk : public RefCounted {
   public:
    // Copies of `count` references from `first` on.
    template <typename Source>
    static Ref<Chunk> Make(Source first, size_t count) {
      void* block = ::operator new(sizeof(Chunk) + count * sizeof(Ref<const Instance>));
      Ref<Chunk> chunk(new (block) Chunk(static_cast<uint32_t>(count)));
      std::uninitialized_copy_n(first, count, chunk->begin());
      return chunk;
    }
    Chunk(const Chunk&) = delete;
    Chunk& operator=(const Chunk&) = delete;
    ~Chunk() { std::destroy_n(begin(), size_); }
    static void operator delete(void* block) { ::operator delete(block); }

    size_t size() const { return size_; }
    Ref<const Instance>* begin() {
      return reinterpret_cast<Ref<const Instance>*>(reinterpret_cast<uint8_t*>(this) +
                                                    sizeof(Chunk));
    }
    const Ref<const Instance>* begin() const {
      return reinterpret_cast<const Ref<const Instance>*>(reinterpret_cast<const uint8_t*>(this) +
                                                          sizeof(Chunk));
    }

   private:
    explicit Chunk(uint32_t size) : size_(size) {}

    uint32_t size_;
  };
  static_assert(sizeof(Chunk) % alignof(Ref<const Instance>) == 0);

 public:
  class Iterator {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = Ref<const Instance>;
    using difference_type = std::ptrdiff_t;
    using pointer = const value_type*;
    using reference = const value_type&;

    Iterator() = default;
    Iterator(const InstanceSequence* sequence, size_t position)
        : sequence_(sequence), position_(position) {}
    reference operator*() const { return (*sequence_)[position_]; }
    pointer operator->() const { return &**this; }
    Iterator& operator++() {
      ++position_;
      return *this;
    }
    Iterator operator++(int) {
      Iterator before = *this;
      ++position_;
      return before;
    }
    friend bool operator==(const Iterator&, const Iterator&) = default;

   private:
    const InstanceSequence* sequence_ = nullptr;
    size_t position_ = 0;
  };

  InstanceSequence() = default;
  explicit InstanceSequence(std::vector<Ref<const Instance>> instances) : size_(instances.size()) {
    for (size_t at = 0; at < instances.size(); at += kChunkSize) {
      const auto begin = std::make_move_iterator(instances.begin());
      chunks_.push_back(Chunk::Make(begin + static_cast<std::ptrdiff_t>(at),
                                    std::min(kChunkSize, instances.size() - at)));
    }
  }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  const Ref<const Instance>& operator[](size_t position) const {
    return std::as_const(*chunks_[position / kChunkSize]).begin()[position % kChunkSize];
  }
  Iterator begin() const { return {this, 0}; }
  Iterator end() const { return {this, size_}; }

  // Puts another instance in a place; copies its chunk if another list has it too.
  void Replace(size_t position, Ref<const Instance> instance) {
    Ref<Chunk>& chunk = chunks_[position / kChunkSize];
    if (!chunk.unique()) {
      chunk = Chunk::Make(std::as_const(*chunk).begin(), chunk->size());
    }
    chunk->begin()[position % kChunkSize] = std::move(instance);
  }

 private:
  absl::InlinedVector<Ref<Chunk>, 1> chunks_;
  size_t size_ = 0;
};

// Instances by position, as the catalog keeps them or as somebody chose them. Borrows them.
class InstanceList {
 public:
  explicit InstanceList(const InstanceSequence& sequence)
      : sequence_(&sequence), size_(sequence.size()) {}
  explicit InstanceList(const std::vector<const Instance*>& chosen)
      : pointers_(chosen.data()), size_(chosen.size()) {}

  const Instance& operator[](size_t position) const {
    return sequence_ != nullptr ? *(*sequence_)[position] : *pointers_[position];
  }
  size_t size() const { return size_; }

 private:
  const InstanceSequence* sequence_ = nullptr;
  const Instance* const* pointers_ = nullptr;
  size_t size_;
};

}  // namespace pharos::registry
