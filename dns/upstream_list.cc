#include "dns/upstream_list.h"

#include <algorithm>
#include <utility>

namespace pharos::dns {

UpstreamList::Upstream* UpstreamList::Find(const SocketAddress& address) {
  for (Upstream& upstream : upstreams_) {
    if (upstream.address == address) return &upstream;
  }
  return nullptr;
}

void UpstreamList::Set(std::span<const SocketAddress> addresses, RecursorStrategy strategy) {
  strategy_ = strategy;
  std::vector<Upstream> upstreams;
  for (const SocketAddress& address : addresses) {
    const Upstream* known = Find(address);
    upstreams.push_back(known != nullptr ? *known : Upstream{.address = address});
  }
  upstreams_ = std::move(upstreams);
}

std::vector<SocketAddress> UpstreamList::Plan(absl::Time now) {
  std::vector<Upstream*> order;
  for (Upstream& upstream : upstreams_) order.push_back(&upstream);
  if (strategy_ == RecursorStrategy::kRandom) {
    for (size_t i = order.size(); i > 1; --i) {
      std::swap(order[i - 1], order[random_.Below(static_cast<uint32_t>(i))]);
    }
  }
  std::vector<SocketAddress> plan, last;
  for (Upstream* upstream : order) {
    if (upstream->failures_in_row < kFailuresToAvoid) {
      plan.push_back(upstream->address);
    } else if (now < upstream->avoid_until) {
      last.push_back(upstream->address);
    } else {
      // This question tries it; others go on avoiding it until it has answered.
      upstream->avoid_until = now + kAvoidFor;
      plan.push_back(upstream->address);
    }
  }
  plan.insert(plan.end(), last.begin(), last.end());
  return plan;
}

void UpstreamList::NoteReply(const SocketAddress& address, absl::Duration round_trip) {
  Upstream* upstream = Find(address);
  if (upstream == nullptr) return;
  upstream->failures_in_row = 0;
  upstream->round_trip = upstream->round_trip == absl::ZeroDuration()
                             ? round_trip
                             : upstream->round_trip * 7 / 8 + round_trip / 8;
}

void UpstreamList::NoteFailure(const SocketAddress& address, absl::Time now) {
  Upstream* upstream = Find(address);
  if (upstream == nullptr) return;
  if (++upstream->failures_in_row >= kFailuresToAvoid) upstream->avoid_until = now + kAvoidFor;
}

absl::Duration UpstreamList::RoundTrip(const SocketAddress& address) const {
  for (const Upstream& upstream : upstreams_) {
    if (upstream.address == address) return upstream.round_trip;
  }
  return absl::ZeroDuration();
}

}  // namespace pharos::dns
