// What was seen of late, by Lamport time, so that what gossip brings again is known.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "cluster/gossip/serf_messages.h"

namespace pharos::gossip {

inline constexpr size_t kRecentTimes = 512;

// The user events of the last kRecentTimes times.
class EventBuffer {
 public:
  // True if the event is new; false if it was seen, or is older than what is kept. `clock` is the
  // present time.
  bool Add(const UserEvent& event, LamportTime clock);
  // Older ones are not news any more.
  void SetMin(LamportTime min) { min_ = std::max(min_, min); }
  // Each time that is kept, without the empty ones.
  std::vector<std::optional<EventSlot>> Slots() const;

 private:
  // Of one time; more are taken for seen.
  static constexpr size_t kEventsMax = 4096;
  LamportTime min_ = 0;
  std::vector<EventSlot> slots_ = std::vector<EventSlot>(kRecentTimes);
};

// The ids of the queries of the last kRecentTimes times.
class QueryBuffer {
 public:
  bool Add(LamportTime time, uint32_t id, LamportTime clock);
  void SetMin(LamportTime min) { min_ = std::max(min_, min); }

 private:
  static constexpr size_t kQueriesMax = 4096;
  struct Slot {
    LamportTime time = 0;
    absl::flat_hash_set<uint32_t> ids;
  };
  LamportTime min_ = 0;
  std::vector<Slot> slots_ = std::vector<Slot>(kRecentTimes);
};

}  // namespace pharos::gossip
