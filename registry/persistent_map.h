// A hash map whose copies share structure: copying is one reference, and a change copies only the
// path to what changed. One writer changes and copies; readers look up in copies that no longer
// change, under the guard they came by.
//
// Shape: a root of pages of 64 shards, chosen by bits of the hash. There are four times as many
// pages whenever shards would hold more than 16 entries on average, up to 1,024 pages, which is
// enough for a million entries: so few entries lie close together, and a change copies little. A
// shard is one block of memory that begins with 16 other bits of each entry's hash, so that a
// look-up reads the line of its page, that of the shard's beginning, and that of its entry. A path
// that only this copy holds is changed in place, so loading many entries without copying in between
// copies them only where the pages become more.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/hash/hash.h"
#include "absl/strings/string_view.h"
#include "base/prefetch.h"
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
  static constexpr size_t kPagesMax = 1024;
  static constexpr size_t kPagesFactor = 4;
  static constexpr size_t kShardsPerPage = 64;
  // On average, before there are more pages.
  static constexpr size_t kShardEntries = 16;

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
    // The first entry from `i` on that may have the tag; size() if there is none. Four tags at a
    // time: what is read behind the last one is within the block, and not believed.
    uint32_t FindTag(uint16_t tag, uint32_t i = 0) const {
      constexpr uint64_t kOnes = 0x0001000100010001;
      static_assert(sizeof(Entry) >= sizeof(kOnes));
      for (; i < size_; i += 4) {
        uint64_t four;
        std::memcpy(&four, tags() + i, sizeof four);
        const uint64_t differ = four ^ (tag * kOnes);
        // High bits of tags without a difference, and perhaps of some that differ by 1 above one.
        const uint64_t same = (differ - kOnes) & ~differ & (kOnes << 15);
        if (same == 0) continue;
        const int first = std::endian::native == std::endian::little ? std::countr_zero(same)
                                                                     : std::countl_zero(same);
        return std::min(i + static_cast<uint32_t>(first) / 16, size_);
      }
      return size_;
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
    explicit Root(size_t count) : pages(count) {}
    std::vector<Ref<Page>> pages;  // A power of 2 of them.
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
    return FindFrom(*shard, key, TagOf(hash), shard->FindTag(TagOf(hash)));
  }

  // For looking up many keys at once: each stage asks the processor for what the next one reads, so
  // that the waits of many look-ups overlap. Start, PrefetchShard, PrefetchEntry and Find, in this
  // order; of one map, which does not change meanwhile.
  class Cursor {
    friend class PersistentMap;
    uint16_t tag_ = 0;
    uint32_t at_ = 0;
    const Ref<Shard>* place_ = nullptr;  // Null where there is no such page.
    const Shard* shard_ = nullptr;
  };
  Cursor Start(uint64_t hash) const {
    Cursor cursor;
    cursor.tag_ = TagOf(hash);
    if (const Page* page = FindPage(hash)) {
      cursor.place_ = &page->shards[ShardOf(hash)];
      PrefetchLine(cursor.place_);
    }
    return cursor;
  }
  static void PrefetchShard(Cursor& cursor) {
    if (cursor.place_ == nullptr) return;
    cursor.shard_ = cursor.place_->get();
    PrefetchLine(cursor.shard_);
  }
  static void PrefetchEntry(Cursor& cursor) {
    if (cursor.shard_ == nullptr) return;
    cursor.at_ = cursor.shard_->FindTag(cursor.tag_);
    if (cursor.at_ == cursor.shard_->size()) return;
    // They may be on two lines.
    const Entry& entry = cursor.shard_->entry(cursor.at_);
    PrefetchLine(&entry.key);
    PrefetchLine(&entry.value);
  }
  template <typename K>
  static const Value* Find(const K& key, const Cursor& cursor) {
    return cursor.shard_ == nullptr ? nullptr
                                    : FindFrom(*cursor.shard_, key, cursor.tag_, cursor.at_);
  }

  // Inserts or replaces.
  void Set(const Key& key, Value value) {
    const uint64_t hash = HashKey(key);
    MakeRoom();
    Ref<Shard>& shard = MutableShard(hash);
    if (const uint32_t at = FindIn(*shard, key, hash); at < shard->size()) {
      shard->entry(at).value = std::move(value);
      return;
    }
    Append(shard, hash, {key, std::move(value)});
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
    if (root_) ForEachIn(root_, visit);
  }

 private:
  template <typename Visit>
  static void ForEachIn(const Ref<Root>& root, Visit visit) {
    for (const Ref<Page>& page : root->pages) {
      if (!page) continue;
      for (const Ref<Shard>& shard : page->shards) {
        const uint32_t size = shard ? shard->size() : 0;
        for (uint32_t i = 0; i < size; ++i) visit(shard->entry(i).key, shard->entry(i).value);
      }
    }
  }

  static size_t PageOf(const Root& root, uint64_t hash) {
    return (hash >> 6) & (root.pages.size() - 1);
  }
  static size_t ShardOf(uint64_t hash) { return hash % kShardsPerPage; }
  static uint16_t TagOf(uint64_t hash) { return static_cast<uint16_t>(hash >> 48); }

  const Page* FindPage(uint64_t hash) const {
    return root_ ? root_->pages[PageOf(*root_, hash)].get() : nullptr;
  }
  const Shard* FindShard(uint64_t hash) const {
    const Page* page = FindPage(hash);
    return page == nullptr ? nullptr : page->shards[ShardOf(hash)].get();
  }
  // Where the key is, from `at` on, which is a place that may have it or the end; shard.size() if
  // it is not there.
  template <typename K>
  static uint32_t IndexFrom(const Shard& shard, const K& key, uint16_t tag, uint32_t at) {
    while (at < shard.size() && !(shard.entry(at).key == key)) at = shard.FindTag(tag, at + 1);
    return at;
  }
  template <typename K>
  static uint32_t FindIn(const Shard& shard, const K& key, uint64_t hash) {
    return IndexFrom(shard, key, TagOf(hash), shard.FindTag(TagOf(hash)));
  }
  template <typename K>
  static const Value* FindFrom(const Shard& shard, const K& key, uint16_t tag, uint32_t at) {
    at = IndexFrom(shard, key, tag, at);
    return at < shard.size() ? &shard.entry(at).value : nullptr;
  }

  // Sees to it that there is a root, with pages enough for one entry more.
  void MakeRoom() {
    const size_t pages = root_ ? root_->pages.size() : 0;
    if (pages > 0 && (pages == kPagesMax || size_ < pages * kShardsPerPage * kShardEntries)) return;
    const Ref<Root> before =
        std::exchange(root_, MakeRef<Root>(std::max<size_t>(pages * kPagesFactor, 1)));
    if (!before) return;
    ForEachIn(before, [this](const Key& key, const Value& value) {
      const uint64_t hash = HashKey(key);
      Append(MutableShard(hash), hash, {key, value});
    });
  }
  static void Append(Ref<Shard>& shard, uint64_t hash, Entry entry) {
    if (shard->size() == shard->capacity()) {
      shard = Shard::MoveTo(*shard, shard->capacity() + 1 + shard->capacity() / 4);
    }
    shard->Append(TagOf(hash), std::move(entry));
  }

  // What `ref` points to, copied if another map holds it too.
  template <typename T>
  static T& Own(Ref<T>& ref) {
    if (!ref.unique()) ref = MakeRef<T>(*ref);
    return *ref;
  }
  // The shard for the hash, made if there is none; one that is copied has room for one entry more.
  // There is a root.
  Ref<Shard>& MutableShard(uint64_t hash) {
    Ref<Page>& page = Own(root_).pages[PageOf(*root_, hash)];
    if (!page) page = MakeRef<Page>();
    Ref<Shard>& shard = Own(page).shards[ShardOf(hash)];
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
