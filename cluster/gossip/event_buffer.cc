#include "cluster/gossip/event_buffer.h"

#include <algorithm>

namespace pharos::gossip {
namespace {

bool IsTooOld(LamportTime time, LamportTime min, LamportTime clock) {
  return time < min || (clock > kRecentTimes && time < clock - kRecentTimes);
}

}  // namespace

bool EventBuffer::Add(const UserEvent& event, LamportTime clock) {
  if (IsTooOld(event.time, min_, clock)) return false;
  EventSlot& slot = slots_[event.time % kRecentTimes];
  if (slot.time > event.time) return false;
  if (slot.time != event.time) slot = {.time = event.time, .events = {}};
  const bool seen = std::any_of(slot.events.begin(), slot.events.end(), [&](const auto& other) {
    return other.name == event.name && other.payload == event.payload;
  });
  if (seen || slot.events.size() >= kEventsMax) return false;
  slot.events.push_back({.name = event.name, .payload = event.payload});
  return true;
}

std::vector<std::optional<EventSlot>> EventBuffer::Slots() const {
  std::vector<std::optional<EventSlot>> slots;
  for (const EventSlot& slot : slots_) {
    if (!slot.events.empty()) slots.emplace_back(slot);
  }
  return slots;
}

bool QueryBuffer::Add(LamportTime time, uint32_t id, LamportTime clock) {
  if (IsTooOld(time, min_, clock)) return false;
  Slot& slot = slots_[time % kRecentTimes];
  if (slot.time > time) return false;
  if (slot.time != time) slot = {.time = time, .ids = {}};
  if (slot.ids.size() >= kQueriesMax) return false;
  return slot.ids.insert(id).second;
}

}  // namespace pharos::gossip
