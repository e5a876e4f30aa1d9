#include "cluster/gossip/broadcast_queue.h"

#include <cmath>
#include <iterator>
#include <limits>
#include <utility>

namespace pharos::gossip {

int RetransmitLimit(int multiplier, size_t nodes) {
  return multiplier * static_cast<int>(std::ceil(std::log10(static_cast<double>(nodes + 1))));
}

uint64_t BroadcastQueue::Add(std::string_view key, std::string message) {
  if (!key.empty()) {
    if (const auto same = by_key_.find(absl::string_view(key.data(), key.size()));
        same != by_key_.end()) {
      Extract(by_id_.at(same->second));
    }
  }
  if (queue_.size() >= size_max_) {
    Extract(std::prev(queue_.end()));
    ++dropped_;
  }
  const uint64_t id = next_id_++;
  const auto [at, added] = queue_.insert(
      {.handed_out = 0, .id = id, .key = std::string(key), .message = std::move(message)});
  by_id_.emplace(id, at);
  if (!key.empty()) by_key_[at->key] = id;
  return id;
}

BroadcastQueue::Queue::node_type BroadcastQueue::Extract(Queue::iterator at) {
  by_id_.erase(at->id);
  if (!at->key.empty()) by_key_.erase(at->key);
  return queue_.extract(at);
}

void BroadcastQueue::Clear() {
  queue_.clear();
  by_id_.clear();
  by_key_.clear();
}

size_t BroadcastQueue::Take(size_t overhead_octets, size_t octets, size_t nodes,
                            std::vector<std::string>& taken) {
  const int limit = RetransmitLimit(retransmit_multiplier_, nodes);
  constexpr uint64_t kNewest = std::numeric_limits<uint64_t>::max();
  size_t used = 0;
  std::vector<Queue::node_type> again;
  Place from{0, octets, kNewest};
  while (!queue_.empty() && octets - used > overhead_octets) {
    from.octets = octets - used - overhead_octets;
    const auto found = queue_.lower_bound(from);
    if (found == queue_.end()) break;
    if (found->handed_out != from.handed_out) {  // Nothing left of this tier that fits.
      from.handed_out = found->handed_out;
      continue;
    }
    used += found->message.size() + overhead_octets;
    taken.push_back(found->message);
    Queue::node_type item = Extract(found);
    if (++item.value().handed_out < limit) again.push_back(std::move(item));
  }
  for (Queue::node_type& item : again) {
    const auto at = queue_.insert(std::move(item)).position;
    by_id_.emplace(at->id, at);
    if (!at->key.empty()) by_key_[at->key] = at->id;
  }
  return used;
}

}  // namespace pharos::gossip
