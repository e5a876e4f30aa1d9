#include "cluster/memory_disk.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/random.h"
#include "cluster/libraft.h"

namespace pharos::cluster {
namespace {

constexpr uint16_t kPlentyKilobytes = 32 * 1024;

void* CopyToRaft(const std::string& data) {
  void* const copy = raft_malloc(std::max<size_t>(data.size(), 1));
  CHECK(copy != nullptr);
  std::memcpy(copy, data.data(), data.size());
  return copy;
}

std::string Encode(const raft_configuration& configuration) {
  raft_buffer encoded{};
  CHECK(raft_configuration_encode(&configuration, &encoded) == 0);
  std::string text(static_cast<const char*>(encoded.base), encoded.len);
  raft_free(encoded.base);
  return text;
}

std::unique_ptr<MemoryDiskContent::Snapshot> CopySnapshot(const raft_snapshot& from) {
  auto to = std::make_unique<MemoryDiskContent::Snapshot>();
  to->index = from.index;
  to->term = from.term;
  to->configuration = Encode(from.configuration);
  to->configuration_index = from.configuration_index;
  for (unsigned i = 0; i < from.n_bufs; ++i) {
    to->data.append(static_cast<const char*>(from.bufs[i].base), from.bufs[i].len);
  }
  return to;
}

raft_snapshot* MakeRaftSnapshot(const MemoryDiskContent::Snapshot& from) {
  auto* const to = static_cast<raft_snapshot*>(raft_calloc(1, sizeof(raft_snapshot)));
  auto* const buffer = static_cast<raft_buffer*>(raft_malloc(sizeof(raft_buffer)));
  CHECK(to != nullptr && buffer != nullptr);
  to->index = from.index;
  to->term = from.term;
  raft_configuration_init(&to->configuration);
  const raft_buffer encoded{.base = const_cast<char*>(from.configuration.data()),
                            .len = from.configuration.size()};
  CHECK(raft_configuration_decode(&encoded, &to->configuration) == 0);
  to->configuration_index = from.configuration_index;
  buffer->base = CopyToRaft(from.data);
  buffer->len = from.data.size();
  to->bufs = buffer;
  to->n_bufs = 1;
  return to;
}

uint64_t LastIndex(const MemoryDiskContent& content) {
  return content.start_index + content.entries.size() - 1;
}

void TruncateFrom(MemoryDiskContent& content, uint64_t index) {
  while (!content.entries.empty() && LastIndex(content) >= index) content.entries.pop_back();
}

void StoreSnapshot(MemoryDiskContent& content, unsigned trailing,
                   std::unique_ptr<MemoryDiskContent::Snapshot> snapshot) {
  const uint64_t index = snapshot->index;
  content.snapshot = std::move(snapshot);
  if (trailing == 0 || LastIndex(content) < index) {
    content.entries.clear();
    content.start_index = index + 1;
    return;
  }
  while (content.start_index + trailing <= index && !content.entries.empty()) {
    content.entries.pop_front();
    ++content.start_index;
  }
}

}  // namespace

struct MemoryDisk::Impl {
  static MemoryDisk& Of(raft_io* io) { return *static_cast<MemoryDisk*>(io->impl); }

  static int Init(raft_io*, raft_id, const char*) { return 0; }
  static void Close(raft_io* io, raft_io_close_cb done) {
    MemoryDisk& disk = Of(io);
    // What libraft lent us for a write it gets back in its callback.
    while (!disk.writes_.empty()) {
      const Write write = std::move(disk.writes_.front());
      disk.writes_.pop_front();
      write.apply();
      write.tell();
    }
    done(io);
  }

  static int Load(raft_io* io, raft_term* term, raft_id* voted_for, raft_snapshot** snapshot,
                  raft_index* start_index, raft_entry** entries, size_t* count) {
    const MemoryDiskContent& content = Of(io).content_;
    *term = content.term;
    *voted_for = content.voted_for;
    *snapshot = content.snapshot == nullptr ? nullptr : MakeRaftSnapshot(*content.snapshot);
    *start_index = content.start_index;
    *count = content.entries.size();
    *entries = nullptr;
    if (content.entries.empty()) return 0;
    size_t octets = 0;
    for (const auto& entry : content.entries) octets += entry.data.size();
    auto* const batch = static_cast<char*>(raft_malloc(std::max<size_t>(octets, 1)));
    *entries = static_cast<raft_entry*>(raft_calloc(*count, sizeof(raft_entry)));
    CHECK(batch != nullptr && *entries != nullptr);
    size_t offset = 0, i = 0;
    for (const auto& entry : content.entries) {
      std::ranges::copy(entry.data, batch + offset);
      (*entries)[i++] = {.term = entry.term,
                         .type = static_cast<raft_entry_type>(entry.type),
                         .buf = {.base = batch + offset, .len = entry.data.size()},
                         .batch = batch};
      offset += entry.data.size();
    }
    return 0;
  }

  static int Start(raft_io*, unsigned, raft_io_tick_cb, raft_io_recv_cb) { return 0; }

  static int Bootstrap(raft_io* io, const raft_configuration* configuration) {
    MemoryDiskContent& content = Of(io).content_;
    if (content.term != 0 || content.snapshot != nullptr || !content.entries.empty()) {
      return RAFT_CANTBOOTSTRAP;
    }
    content.term = 1;
    content.entries.push_back({.term = 1, .type = RAFT_CHANGE, .data = Encode(*configuration)});
    return 0;
  }

  static int Recover(raft_io* io, const raft_configuration* configuration) {
    MemoryDiskContent& content = Of(io).content_;
    const uint64_t term = !content.entries.empty()      ? content.entries.back().term
                          : content.snapshot != nullptr ? content.snapshot->term
                                                        : 1;
    content.entries.push_back({.term = term, .type = RAFT_CHANGE, .data = Encode(*configuration)});
    return 0;
  }

  static int SetTerm(raft_io* io, raft_term term) {
    if (Of(io).crashed_) return 0;
    Of(io).content_.term = term;
    Of(io).content_.voted_for = 0;
    return 0;
  }

  static int SetVote(raft_io* io, raft_id id) {
    if (Of(io).crashed_) return 0;
    Of(io).content_.voted_for = id;
    return 0;
  }

  static int Append(raft_io* io, raft_io_append* request, const raft_entry entries[],
                    unsigned count, raft_io_append_cb done) {
    MemoryDisk& disk = Of(io);
    request->cb = done;
    if (!disk.keeps_) {
      disk.Add({.apply = [] {}, .tell = [request, done] { done(request, 0); }});
      return 0;
    }
    auto copies = std::make_shared<std::vector<MemoryDiskContent::Entry>>();
    copies->reserve(count);
    for (unsigned i = 0; i < count; ++i) {
      copies->push_back(
          {.term = entries[i].term,
           .type = entries[i].type,
           .data = std::string(static_cast<const char*>(entries[i].buf.base), entries[i].buf.len)});
    }
    disk.Add({.apply =
                  [&disk, copies] {
                    for (auto& copy : *copies) disk.content_.entries.push_back(std::move(copy));
                  },
              .tell = [request, done] { done(request, 0); }});
    return 0;
  }

  static int Truncate(raft_io* io, raft_index index) {
    MemoryDisk& disk = Of(io);
    disk.Add({.apply = [&disk, index] { TruncateFrom(disk.content_, index); }, .tell = [] {}});
    return 0;
  }

  static int SnapshotPut(raft_io* io, unsigned trailing, raft_io_snapshot_put* request,
                         const raft_snapshot* snapshot, raft_io_snapshot_put_cb done) {
    MemoryDisk& disk = Of(io);
    request->cb = done;
    if (!disk.keeps_) {
      disk.Add({.apply = [] {}, .tell = [request, done] { done(request, 0); }});
      return 0;
    }
    auto copy =
        std::make_shared<std::unique_ptr<MemoryDiskContent::Snapshot>>(CopySnapshot(*snapshot));
    disk.Add({.apply = [&disk, trailing,
                        copy] { StoreSnapshot(disk.content_, trailing, std::move(*copy)); },
              .tell = [request, done] { done(request, 0); }});
    return 0;
  }

  static int SnapshotGet(raft_io* io, raft_io_snapshot_get* request, raft_io_snapshot_get_cb done) {
    MemoryDisk& disk = Of(io);
    request->cb = done;
    disk.Add({.apply = [] {},
              .tell = [&disk, request,
                       done] { done(request, MakeRaftSnapshot(*disk.content_.snapshot), 0); }});
    return 0;
  }

  static raft_time Time(raft_io* io) { return Of(io).now_ms_(); }
  static int RandomBetween(raft_io* io, int min, int max) {
    Random& random = Of(io).impl_->random;
    return min + static_cast<int>(random.Below(static_cast<uint32_t>(max - min)));
  }

  explicit Impl(uint64_t seed) : random(seed) {}
  raft_io io{};
  Random random;
};

MemoryDisk::MemoryDisk(MemoryDiskContent* content, std::function<uint64_t()> now_ms, Later later,
                       uint64_t seed)
    : content_(content == nullptr ? none_ : *content),
      keeps_(content != nullptr),
      now_ms_(std::move(now_ms)),
      later_(std::move(later)),
      alive_(std::make_shared<bool>(true)),
      impl_(std::make_unique<Impl>(seed)) {
  raft_io& io = impl_->io;
  io.version = 2;
  io.capacity = kPlentyKilobytes;
  io.impl = this;
  io.init = Impl::Init;
  io.close = Impl::Close;
  io.load = Impl::Load;
  io.start = Impl::Start;
  io.bootstrap = Impl::Bootstrap;
  io.recover = Impl::Recover;
  io.set_term = Impl::SetTerm;
  io.set_vote = Impl::SetVote;
  io.append = Impl::Append;
  io.truncate = Impl::Truncate;
  io.snapshot_put = Impl::SnapshotPut;
  io.snapshot_get = Impl::SnapshotGet;
  io.time = Impl::Time;
  io.random = Impl::RandomBetween;
}

MemoryDisk::~MemoryDisk() { *alive_ = false; }

raft_io* MemoryDisk::io() { return &impl_->io; }

void MemoryDisk::Add(Write write) {
  if (crashed_) write.apply = [] {};
  writes_.push_back(std::move(write));
  later_([this, alive = alive_] {
    if (*alive) WriteNext();
  });
}

void MemoryDisk::WriteNext() {
  if (writes_.empty()) return;
  const Write write = std::move(writes_.front());
  writes_.pop_front();
  write.apply();
  write.tell();
  LegacyFireCompletedRequests(static_cast<struct raft*>(impl_->io.data));
}

void MemoryDisk::Crash(size_t count) {
  for (size_t i = 0; i < writes_.size(); ++i) {
    if (i < count) writes_[i].apply();
    writes_[i].apply = [] {};
  }
  crashed_ = true;
}

void MemoryDisk::Finish() {
  while (!writes_.empty()) WriteNext();
}

void MemoryDisk::SetCapacity(uint16_t kilobytes) { impl_->io.capacity = kilobytes; }

}  // namespace pharos::cluster
