// A hash map whose copies share structure: copying is one reference, and a change copies only the
// path to what changed. One writer changes and copies; readers look up in copies that no longer
// change, under the guard they came by.
//
// Shape: a root of 1,024 pages of 64 shards, chosen by 16 bits of the hash, so that a shard holds
// about 16 entries at a million. A shard is one block of memory that begins with 16 other bits of
// each entry's hash, so that a look-up reads the line of its page, that of the shard's beginning,
// and that of its entry. A path that only this copy holds is changed in place, so loading many
// entries without copying in between copies nothing.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <utility>

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
    Key key;
    Value value;
  };
  // Room for `capacity` entries behind their tags, in the same block.
  class Shard : public RefCounted {
   public:
    static Ref<Shard> Make(uint32_t capacity) {
      void* block = ::operator new(EntriesOffset(capacity) + capacity * sizeof(Entry));
      return Ref<Shard>(new (block) Shard(capacity));
    }
    // A copy with room for `capacity` entries, which is at least as many as there are.
    static Ref<Shard> Copy(const Shard& from, uint32_t capacity) {
      Ref<Shard> copy = Make(capacity);
      for (uint32_t i = 0; i < from.size_; ++i) copy->Append(from.tag(i), Entry(from.entry(i)));
      return copy;
    }
    static Ref<Shard> MoveTo(Shard& from, uint32_t capacity) {
      Ref<Shard> moved = Make(capacity);
      for (uint32_t i = 0; i < from.size_; ++i) {
        moved->Append(from.tag(i), std::move(from.entry(i)));
      }
      return moved;
    }
    Shard(const Shard&) = delete;
    Shard& operator=(const Shard&) = delete;
    ~Shard() { std::destroy_n(entries(), size_); }
    static void operator delete(void* block) { ::operator delete(block); }

    uint32_t size() const { return size_; }
    uint32_t capacity() const { return capacity_; }
    uint16_t tag(uint32_t i) const { return tags()[i]; }
    Entry& entry(uint32_t i) { return entries()[i]; }
    const Entry& entry(uint32_t i) const { return entries()[i]; }

    // There is room.
    void Append(uint16_t tag, Entry entry) {
      tags()[size_] = tag;
      new (entries() + size_) Entry(std::move(entry));
      ++size_;
    }
    void Remove(uint32_t i) {
      --size_;
      tags()[i] = tags()[size_];
      if (i != size_) entries()[i] = std::move(entries()[size_]);
      std::destroy_at(entries() + size_);
    }
    // The first entry from `i` on with the tag; size() if there is none.
    uint32_t FindTag(uint16_t tag, uint32_t i = 0) const {
      const uint16_t* all = tags();
      while (i < size_ && all[i] != tag) ++i;
      return i;
    }

   private:
    explicit Shard(uint32_t capacity) : capacity_(capacity) {}
    static size_t EntriesOffset(uint32_t capacity) {
      const size_t end = sizeof(Shard) + capacity * sizeof(uint16_t);
      return (end + alignof(Entry) - 1) / alignof(Entry) * alignof(Entry);
    }
    uint8_t* block() { return reinterpret_cast<uint8_t*>(this); }
    const uint8_t* block() const { return reinterpret_cast<const uint8_t*>(this); }
    uint16_t* tags() { return reinterpret_cast<uint16_t*>(block() + sizeof(Shard)); }
    const uint16_t* tags() const {
      return reinterpret_cast<const uint16_t*>(block() + sizeof(Shard));
    }
    Entry* entries() { return reinterpret_cast<Entry*>(block() + EntriesOffset(capacity_)); }
    const Entry* entries() const {
      return reinterpret_cast<const Entry*>(block() + EntriesOffset(capacity_));
    }

    uint32_t size_ = 0;
    uint32_t capacity_;
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
    const uint32_t at = FindIn(*shard, key, hash);
    return at < shard->size() ? &shard->entry(at).value : nullptr;
  }

  // For looking up many keys at once: each of these asks the processor for what the next one, and
  // FindHashed after them, reads, so that the waits of many look-ups overlap. In this order.
  void PrefetchPage(uint64_t hash) const {
    if (const Page* page = FindPage(hash)) __builtin_prefetch(&page->shards[ShardOf(hash)]);
  }
  void PrefetchShard(uint64_t hash) const {
    if (const Shard* shard = FindShard(hash)) __builtin_prefetch(shard);
  }
  void PrefetchEntry(uint64_t hash) const {
    const Shard* shard = FindShard(hash);
    if (shard == nullptr) return;
    const uint32_t at = shard->FindTag(TagOf(hash));
    if (at < shard->size()) __builtin_prefetch(&shard->entry(at));
  }

  // Inserts or replaces.
  void Set(const Key& key, Value value) {
    const uint64_t hash = HashKey(key);
    Ref<Shard>& shard = MutableShard(hash);
    if (const uint32_t at = FindIn(*shard, key, hash); at < shard->size()) {
      shard->entry(at).value = std::move(value);
      return;
    }
    if (shard->size() == shard->capacity()) {
      shard = Shard::MoveTo(*shard, shard->capacity() + 1 + shard->capacity() / 4);
    }
    shard->Append(TagOf(hash), {key, std::move(value)});
    ++size_;
  }

  // False when there was none.
  bool Erase(const Key& key) {
    const uint64_t hash = HashKey(key);
    if (FindHashed(key, hash) == nullptr) return false;
    Shard& shard = *MutableShard(hash);
    shard.Remove(FindIn(shard, key, hash));
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
        const uint32_t size = shard ? shard->size() : 0;
        for (uint32_t i = 0; i < size; ++i) visit(shard->entry(i).key, shard->entry(i).value);
      }
    }
  }

 private:
  static size_t PageOf(uint64_t hash) { return (hash >> 6) % kPages; }
  static size_t ShardOf(uint64_t hash) { return hash % kShardsPerPage; }
  static uint16_t TagOf(uint64_t hash) { return static_cast<uint16_t>(hash >> 48); }

  const Page* FindPage(uint64_t hash) const {
    return root_ ? root_->pages[PageOf(hash)].get() : nullptr;
  }
  const Shard* FindShard(uint64_t hash) const {
    const Page* page = FindPage(hash);
    return page == nullptr ? nullptr : page->shards[ShardOf(hash)].get();
  }
  // Where the key is; shard.size() if it is not there.
  template <typename K>
  static uint32_t FindIn(const Shard& shard, const K& key, uint64_t hash) {
    uint32_t at = shard.FindTag(TagOf(hash));
    while (at < shard.size() && !(shard.entry(at).key == key)) {
      at = shard.FindTag(TagOf(hash), at + 1);
    }
    return at;
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
  // The same of a shard; a copy has room for one entry more.
  Ref<Shard>& MutableShard(uint64_t hash) {
    Ref<Shard>& shard = Own(Own(root_).pages[PageOf(hash)]).shards[ShardOf(hash)];
    if (!shard) {
      shard = Shard::Make(1);
    } else if (!shard.unique()) {
      shard = Shard::Copy(*shard, shard->size() + 1);
    }
    return shard;
  }

  Ref<Root> root_;
  size_t size_ = 0;
};

}  // namespace pharos::registry
