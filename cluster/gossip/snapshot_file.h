// What a node remembers of its pool over a restart: who was alive, and the Lamport clocks, as Serf
// writes it: lines that are appended, and now and then a file written anew.
#pragma once

#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cluster/gossip/serf_messages.h"

namespace pharos::gossip {

struct PoolMemory {
  std::map<std::string, std::string> alive;  // Names and addresses with ports.
  LamportTime clock = 0, event_clock = 0, query_clock = 0;
};

// Lines of others and what is malformed are passed over. `rejoin_after_leave`: what was known
// before the node left counts as well.
PoolMemory ParsePoolMemory(std::string_view text, bool rejoin_after_leave);

// One thread. Errors of the disk cost the memory, not the pool; they are returned to be logged.
class SnapshotFile {
 public:
  // Reads the file if there is one, and goes on with it. The error says what cannot be read.
  static absl::StatusOr<std::unique_ptr<SnapshotFile>> Open(std::string path,
                                                            bool rejoin_after_leave);

  const PoolMemory& memory() const { return memory_; }

  void SetAlive(const std::string& name, const std::string& address);
  void SetGone(const std::string& name);
  void SetClocks(LamportTime clock, LamportTime event_clock, LamportTime query_clock);
  // This node leaves on purpose: who was alive is forgotten.
  void SetLeft();
  // Writes what was set since the last time.
  absl::Status Flush();

 private:
  explicit SnapshotFile(std::string path) : path_(std::move(path)) {}
  absl::Status Rewrite();

  std::string path_;
  PoolMemory memory_;
  std::string pending_;
  size_t file_octets_ = 0;
};

}  // namespace pharos::gossip
