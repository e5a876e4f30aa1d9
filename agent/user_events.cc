#include "agent/user_events.h"

#include <re2/re2.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace pharos::agent {
namespace {

constexpr std::string_view kPrefix = "consul:event:";
constexpr int kVersion = 1;
constexpr int64_t kExpressionMemory = 1 << 20;

struct EventRecord {
  static constexpr bool kIsRecord = true;
  std::string id, name, payload, node_filter, service_filter, tag_filter;
  int32_t version = 0;
  template <typename Self, typename Fields>
  static void Visit(Self& self, Fields&& fields) {
    using gossip::BlobOrLeftOut;
    using gossip::LeftOut;
    fields("ID", self.id);
    fields("n", self.name);
    fields("nf", LeftOut{self.node_filter});
    fields("p", BlobOrLeftOut{self.payload});
    fields("sf", LeftOut{self.service_filter});
    fields("tf", LeftOut{self.tag_filter});
    fields("v", self.version);
  }
};

RE2::Options Options() {
  RE2::Options options(RE2::Quiet);
  options.set_max_mem(kExpressionMemory);
  return options;
}

absl::Status CheckFilter(const char* what, const std::string& filter) {
  const RE2 expression(filter, Options());
  if (expression.ok()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrFormat("Invalid %s filter: %s", what, expression.error()));
}

bool Fits(const std::string& filter, const std::string& text) {
  const RE2 expression(filter, Options());
  return expression.ok() && RE2::PartialMatch(text, expression);
}

}  // namespace

std::string EventNameInPool(const std::string& name) {
  return absl::StrCat(std::string(kPrefix), name);
}

std::string PackEvent(const AgentEvent& event) {
  std::string packed;
  gossip::PackValue(EventRecord{.id = event.id,
                                .name = event.name,
                                .payload = event.payload,
                                .node_filter = event.node_filter,
                                .service_filter = event.service_filter,
                                .tag_filter = event.tag_filter,
                                .version = kVersion},
                    packed);
  return packed;
}

std::optional<AgentEvent> ParseEvent(const gossip::UserEvent& event) {
  if (!event.name.starts_with(kPrefix)) return std::nullopt;
  const auto record = gossip::DecodeRecord<EventRecord>(AsOctets(event.payload));
  if (!record || record->name.empty()) return std::nullopt;
  return AgentEvent{.id = record->id,
                    .name = record->name,
                    .payload = record->payload,
                    .node_filter = record->node_filter,
                    .service_filter = record->service_filter,
                    .tag_filter = record->tag_filter,
                    .time = event.time};
}

absl::Status CheckEvent(const AgentEvent& event) {
  if (event.name.empty()) return absl::InvalidArgumentError("User event missing name");
  if (!event.tag_filter.empty() && event.service_filter.empty()) {
    return absl::InvalidArgumentError("Cannot provide tag filter without service filter");
  }
  for (const auto& [what, filter] :
       {std::pair("node", &event.node_filter), std::pair("service", &event.service_filter),
        std::pair("tag", &event.tag_filter)}) {
    if (absl::Status status = CheckFilter(what, *filter); !status.ok()) return status;
  }
  return absl::OkStatus();
}

bool IsFor(const AgentEvent& event, const std::string& node, const LocalState& state) {
  if (!event.node_filter.empty() && !Fits(event.node_filter, node)) return false;
  if (event.service_filter.empty()) return true;
  return std::any_of(state.services.begin(), state.services.end(), [&](const auto& entry) {
    const ServiceDefinition& service = entry.second.definition;
    if (!Fits(event.service_filter, service.name)) return false;
    return event.tag_filter.empty() ||
           std::any_of(service.tags.begin(), service.tags.end(),
                       [&](const std::string& tag) { return Fits(event.tag_filter, tag); });
  });
}

bool UserEvents::Add(AgentEvent event) {
  std::vector<Listener> listeners;
  {
    const std::lock_guard lock(mutex_);
    const bool known = std::any_of(events_.begin(), events_.end(),
                                   [&](const AgentEvent& other) { return other.id == event.id; });
    if (known) return false;
    events_.push_back(std::move(event));
    if (events_.size() > kEventsMax) events_.pop_front();
    listeners.swap(listeners_);
  }
  std::erase_if(listeners, [](const Listener& listener) {
    return listener.asker.expired() || !listener.call();
  });
  const std::lock_guard lock(mutex_);
  listeners_.insert(listeners_.end(), std::make_move_iterator(listeners.begin()),
                    std::make_move_iterator(listeners.end()));
  return true;
}

std::vector<AgentEvent> UserEvents::List() const {
  const std::lock_guard lock(mutex_);
  return {events_.begin(), events_.end()};
}

void UserEvents::Listen(std::weak_ptr<const void> asker, std::function<bool()> listener) {
  const std::lock_guard lock(mutex_);
  std::erase_if(listeners_, [](const Listener& each) { return each.asker.expired(); });
  listeners_.push_back({std::move(asker), std::move(listener)});
}

}  // namespace pharos::agent
