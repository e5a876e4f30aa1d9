// A hash map whose copies share structure: copying is one reference, and a change copies only the
// path to what changed. One writer changes and copies; readers look up in copies that no longer
// change, under the guard they came by.
//
// Shape: a root of 1,024 pages of 64 shards, chosen by 16 bits of the hash, so that a shard holds
// about 16 entries at a million. A path that only this copy holds is changed in place, so loading
// many entries without copying in between copies nothing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/hash/hash.h"
#include "absl/strings/string_view.h"
#include "registry/ref.h"

namespace pharos::registry {

// Strings are looked up by views of them.
inline uint64_t HashKey(std::string_view key) {
  return absl::HashOf(absl::string_view(key.data(), key.size()));
}
template <typename Key>
uint64_t HashKey(const Key& key) {
  return absl::HashOf(key);
}

template <typename Key, typename Value>
class PersistentMap {
  static constexpr size_t kPages = 1024;
  static constexpr size_t kShardsPerPage = 64;

  struct Entry {
    uint64_t hash;
    Key key;
    Value value;
  };
  struct Shard : RefCounted {
    std::vector<Entry> entries;
  };
  struct Page : RefCounted {
    std::array<Ref<Shard>, kShardsPerPage> shards;
  };
  struct Root : RefCounted {
    std::array<Ref<Page>, kPages> pages;
  };

 public:
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // Null when there is none. The pointer is good as long as this copy lives unchanged.
  template <typename K>
  const Value* Find(const K& key) const {
    return FindHashed(key, HashKey(key));
  }
  template <typename K>
  const Value* FindHashed(const K& key, uint64_t hash) const {
    const Shard* shard = FindShard(hash);
    if (shard == nullptr) return nullptr;
    for (const Entry& entry : shard->entries) {
      if (entry.hash == hash && entry.key == key) return &entry.value;
    }
    return nullptr;
  }

  // Inserts or replaces.
  void Set(const Key& key, Value value) {
    const uint64_t hash = HashKey(key);
    Shard& shard = MutableShard(hash);
    for (Entry& entry : shard.entries) {
      if (entry.hash == hash && entry.key == key) {
        entry.value = std::move(value);
        return;
      }
    }
    shard.entries.push_back({hash, key, std::move(value)});
    ++size_;
  }

  // False when there was none.
  bool Erase(const Key& key) {
    const uint64_t hash = HashKey(key);
    if (FindHashed(key, hash) == nullptr) return false;
    std::vector<Entry>& entries = MutableShard(hash).entries;
    for (Entry& entry : entries) {
      if (entry.hash != hash || entry.key != key) continue;
      if (&entry != &entries.back()) entry = std::move(entries.back());
      entries.pop_back();
      break;
    }
    --size_;
    return true;
  }

  // Calls visit(key, value) for every entry, in no order that means anything.
  template <typename Visit>
  void ForEach(Visit visit) const {
    if (!root_) return;
    for (const Ref<Page>& page : root_->pages) {
      if (!page) continue;
      for (const Ref<Shard>& shard : page->shards) {
        if (!shard) continue;
        for (const Entry& entry : shard->entries) visit(entry.key, entry.value);
      }
    }
  }

 private:
  static size_t PageOf(uint64_t hash) { return (hash >> 6) % kPages; }
  static size_t ShardOf(uint64_t hash) { return hash % kShardsPerPage; }

  const Shard* FindShard(uint64_t hash) const {
    if (!root_) return nullptr;
    const Page* page = root_->pages[PageOf(hash)].get();
    return page == nullptr ? nullptr : page->shards[ShardOf(hash)].get();
  }

  // What `ref` points to, made if there is none, copied if another map holds it too.
  template <typename T>
  static T& Own(Ref<T>& ref) {
    if (!ref) {
      ref = MakeRef<T>();
    } else if (!ref.unique()) {
      ref = MakeRef<T>(*ref);
    }
    return *ref;
  }
  Shard& MutableShard(uint64_t hash) {
    return Own(Own(Own(root_).pages[PageOf(hash)]).shards[ShardOf(hash)]);
  }

  Ref<Root> root_;
  size_t size_ = 0;
};

}  // namespace pharos::registry
