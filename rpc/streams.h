// The streams that are open, so that they can be ended in an orderly way.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_set.h"

namespace pharos::rpc {

class Stream {
 public:
  virtual ~Stream() = default;
  // All on the thread `grpc`. Ends it: the agent stops.
  virtual void Stop() = 0;
  // Called about once a second: ends it if its client has not taken a message for too long.
  virtual void CheckProgress(uint64_t now_ns) = 0;
};

// On the thread `grpc`.
class Streams {
 public:
  // How long a message may wait for its client to read.
  static constexpr uint64_t kStallNs = 60'000'000'000;

  void Add(Stream* stream) { open_.insert(stream); }
  void Remove(Stream* stream) { open_.erase(stream); }
  void StopAll() {
    for (Stream* stream : Copy()) stream->Stop();
  }
  void CheckProgress(uint64_t now_ns) {
    for (Stream* stream : Copy()) stream->CheckProgress(now_ns);
  }

 private:
  std::vector<Stream*> Copy() const { return {open_.begin(), open_.end()}; }

  absl::flat_hash_set<Stream*> open_;
};

}  // namespace pharos::rpc
