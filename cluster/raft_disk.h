// Where a Raft engine keeps its term, vote, log and snapshots: on a disk by libraft, or in memory.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

struct raft;
struct raft_io;
struct uv_loop_s;

namespace pharos::cluster {

// Confined to the raft thread.
class RaftDisk {
 public:
  virtual ~RaftDisk() = default;
  // What libraft reads and writes by; its methods for messages are the engine's to set. Lives as
  // long as the disk.
  virtual raft_io* io() = 0;
  // Whether somebody has to call RaftEngine::Tick in every heartbeat time.
  virtual bool needs_ticks() const = 0;
  // Milliseconds of a clock that never goes back.
  virtual uint64_t NowMs() const = 0;
  // How often a write found the disk full, and how many writes are tried again now.
  virtual uint64_t full_count() const { return 0; }
};

// In `directory`, which exists, by libraft's own raft_uv. `loop` outlives it, and has run until the
// engine has closed. What breaks a promise already made (a write that failed after libraft would go
// on with damaged memory) calls `fatal`, which does not return.
absl::StatusOr<std::unique_ptr<RaftDisk>> OpenUvRaftDisk(
    uv_loop_s* loop, const std::string& directory, std::function<void(const std::string&)> fatal);

}  // namespace pharos::cluster
