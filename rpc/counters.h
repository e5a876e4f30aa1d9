// What the gRPC services count. Any thread may read and add.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/counter.h"

namespace pharos::rpc {

struct RpcCounters {
  std::atomic<uint64_t> calls{0};         // Unary calls taken.
  std::atomic<uint64_t> invalid{0};       // Requests refused as invalid, on streams, too.
  std::atomic<uint64_t> hold_streams{0};  // Open now, as are the next four.
  std::atomic<uint64_t> watch_streams{0};
  std::atomic<uint64_t> health_streams{0};
  std::atomic<uint64_t> xds_streams{0};
  std::atomic<uint64_t> views{0};            // Sets of instances or services kept for watchers.
  std::atomic<uint64_t> refused_streams{0};  // Beyond kStreamsMax.
  std::atomic<uint64_t> lost_streams{0};     // Of holders, that ended without a release.
  std::atomic<uint64_t> encoded{0};          // Responses to watchers that were made,
  std::atomic<uint64_t> sent{0};             // and that were sent.
  std::atomic<uint64_t> caught_up{0};        // Watchers that fell behind and got the full set.
  std::atomic<uint64_t> stalled{0};          // Streams ended as their client did not read.
  std::atomic<uint64_t> xds_nacks{0};
  DurationHistogram hold_changes;  // From a holder's request until it is answered.
};

// Of all kinds together.
inline constexpr uint64_t kStreamsMax = 100'000;

// Counts a stream while it is open, in its kind's count.
class StreamCount {
 public:
  StreamCount(RpcCounters& counters, std::atomic<uint64_t>& kind) : kind_(kind) {
    ++kind_;
    const uint64_t open = counters.hold_streams + counters.watch_streams + counters.health_streams +
                          counters.xds_streams;
    too_many_ = open > kStreamsMax;
    if (too_many_) ++counters.refused_streams;
  }
  StreamCount(const StreamCount&) = delete;
  StreamCount& operator=(const StreamCount&) = delete;
  ~StreamCount() { --kind_; }

  bool too_many() const { return too_many_; }

 private:
  std::atomic<uint64_t>& kind_;
  bool too_many_;
};

}  // namespace pharos::rpc
