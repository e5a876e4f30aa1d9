// User events as Consul's agents send them through the pool: by name, with a payload, to those
// whose node and services fit; and the last of them, which clients list and wait for.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "agent/local/state.h"
#include "cluster/gossip/serf_messages.h"

namespace pharos::agent {

struct AgentEvent {
  std::string id;  // UUID
  std::string name, payload;
  // Regular expressions (RE2); empty: everybody. A tag filter goes with one of services.
  std::string node_filter, service_filter, tag_filter;
  gossip::LamportTime time = 0;
};

// What goes through the pool: `consul:event:NAME` with all but the time in the payload.
std::string EventNameInPool(const std::string& name);
std::string PackEvent(const AgentEvent& event);
// nullopt for an event that is none of agents', or is malformed.
std::optional<AgentEvent> ParseEvent(const gossip::UserEvent& event);

// InvalidArgument, in Consul's words, for a filter that is no regular expression, a tag filter by
// itself, or an event without a name.
absl::Status CheckEvent(const AgentEvent& event);

// Whether the event is for a node of that name with those services.
bool IsFor(const AgentEvent& event, const std::string& node, const LocalState& state);

// The last kEventsMax events. Thread-safe.
class UserEvents {
 public:
  static constexpr size_t kEventsMax = 256;

  // False if it is there already.
  bool Add(AgentEvent event);
  // Oldest first.
  std::vector<AgentEvent> List() const;
  // Calls `listener` after each event that is added, on whichever thread, until it returns false or
  // `asker` is gone, without whom it is soon forgotten.
  void Listen(std::weak_ptr<const void> asker, std::function<bool()> listener);

 private:
  struct Listener {
    std::weak_ptr<const void> asker;
    std::function<bool()> call;
  };

  mutable std::mutex mutex_;
  std::deque<AgentEvent> events_ ABSL_GUARDED_BY(mutex_);
  std::vector<Listener> listeners_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pharos::agent
