// The instances of a service by position, in chunks that successive versions of the list share: a
// change of one instance among thousands copies its chunk.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "registry/ref.h"
#include "registry/types.h"

namespace pharos::registry {

// Made and copied on the writer's thread; read on any.
class InstanceSequence {
  static constexpr size_t kChunkSize = 64;

  struct Chunk : RefCounted {
    std::vector<Ref<const Instance>> instances;  // kChunkSize of them, but for the last chunk.
  };

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
      auto* chunk = new Chunk;
      const auto begin = std::make_move_iterator(instances.begin());
      const size_t end = std::min(at + kChunkSize, instances.size());
      chunk->instances.assign(begin + static_cast<std::ptrdiff_t>(at),
                              begin + static_cast<std::ptrdiff_t>(end));
      chunks_.emplace_back(chunk);
    }
  }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  const Ref<const Instance>& operator[](size_t position) const {
    return chunks_[position / kChunkSize]->instances[position % kChunkSize];
  }
  Iterator begin() const { return {this, 0}; }
  Iterator end() const { return {this, size_}; }

  // Puts another instance in a place; copies its chunk if another list has it too.
  void Replace(size_t position, Ref<const Instance> instance) {
    Ref<Chunk>& chunk = chunks_[position / kChunkSize];
    if (!chunk.unique()) {
      auto* copy = new Chunk;
      copy->instances = chunk->instances;
      chunk = Ref<Chunk>(copy);
    }
    chunk->instances[position % kChunkSize] = std::move(instance);
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
