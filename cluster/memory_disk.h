// A Raft disk in memory: of an agent in development mode, which keeps nothing, and of simulated
// servers, which lose what was not written yet.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/octets.h"
#include "cluster/raft_disk.h"

namespace pharos::cluster {

// What is on the disk; outlives servers that crash.
struct MemoryDiskContent {
  struct Entry {
    uint64_t term = 0;
    int type = 0;
    std::string data;
  };
  struct Snapshot {
    uint64_t index = 0;
    uint64_t term = 0;
    std::string configuration;  // As libraft encodes it.
    uint64_t configuration_index = 0;
    std::string data;
  };

  uint64_t term = 0;
  uint64_t voted_for = 0;
  uint64_t start_index = 1;  // Of entries[0].
  std::deque<Entry> entries;
  std::unique_ptr<Snapshot> snapshot;
};

class MemoryDisk : public RaftDisk {
 public:
  // Calls what it is given once, later and never from within; in the order given.
  using Later = std::function<void(std::function<void()>)>;

  // `content` outlives it. Null: nothing is kept, for a server that will not start again and has no
  // other to help.
  MemoryDisk(MemoryDiskContent* content, std::function<uint64_t()> now_ms, Later later,
             uint64_t seed);
  ~MemoryDisk() override;

  raft_io* io() override;
  bool needs_ticks() const override { return true; }
  uint64_t NowMs() const override { return now_ms_(); }

  // What libraft asked for and was not told of yet.
  size_t unwritten() const { return writes_.size(); }
  // The machine goes down once the first `count` of these were written: the rest is lost, and
  // nothing is written any more.
  void Crash(size_t count);
  // Tells of all that is under way, without waiting for its turn.
  void Finish();
  // Kilobytes that libraft may count on; below 4,096 for a majority it refuses proposals.
  void SetCapacity(uint16_t kilobytes);

 private:
  struct Impl;
  friend struct Impl;
  struct Write {
    std::function<void()> apply;  // To the content.
    std::function<void()> tell;   // libraft.
  };

  void Add(Write write);
  void WriteNext();

  MemoryDiskContent none_;
  MemoryDiskContent& content_;
  const bool keeps_;
  std::function<uint64_t()> now_ms_;
  Later later_;
  std::deque<Write> writes_;
  bool crashed_ = false;
  std::shared_ptr<bool> alive_;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pharos::cluster
