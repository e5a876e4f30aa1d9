// Messages that go to the whole pool by gossip: each is handed out a number of times that grows
// with the logarithm of the pool (SWIM, Das et al., DSN 2002, section 4.1), the ones handed out
// least first.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"

namespace pharos::gossip {

// How often a message is handed out in a pool of so many nodes.
int RetransmitLimit(int multiplier, size_t nodes);

// One thread.
class BroadcastQueue {
 public:
  // `size_max`: at most so many messages; one more drops the one handed out most often.
  BroadcastQueue(int retransmit_multiplier, size_t size_max)
      : retransmit_multiplier_(retransmit_multiplier), size_max_(size_max) {}

  // Takes the place of the message queued under the same key; under an empty one, of none. Returns
  // its id.
  uint64_t Add(std::string_view key, std::string message);
  // Whether the message waits to be handed out yet again.
  bool Contains(uint64_t id) const { return by_id_.contains(id); }
  // Appends to `taken` messages that cost at most `octets` together, each its size and
  // `overhead_octets`. Returns what they cost.
  size_t Take(size_t overhead_octets, size_t octets, size_t nodes, std::vector<std::string>& taken);

  void Clear();
  size_t size() const { return queue_.size(); }
  // Messages lost to `size_max`.
  uint64_t dropped() const { return dropped_; }

 private:
  struct Item {
    int handed_out = 0;
    uint64_t id = 0;
    std::string key, message;
  };
  // What to look for: the messages in order of how often they were handed out, then the longest,
  // then the newest.
  struct Place {
    int handed_out;
    size_t octets;
    uint64_t id;
  };
  struct Order {
    using is_transparent = void;
    static Place Of(const Item& item) { return {item.handed_out, item.message.size(), item.id}; }
    static Place Of(const Place& place) { return place; }
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      const Place x = Of(a), y = Of(b);
      if (x.handed_out != y.handed_out) return x.handed_out < y.handed_out;
      if (x.octets != y.octets) return x.octets > y.octets;
      return x.id > y.id;
    }
  };
  using Queue = std::set<Item, Order>;

  Queue::node_type Extract(Queue::iterator at);

  int retransmit_multiplier_;
  size_t size_max_;
  uint64_t next_id_ = 1;
  uint64_t dropped_ = 0;
  Queue queue_;
  absl::flat_hash_map<uint64_t, Queue::iterator> by_id_;
  absl::flat_hash_map<std::string, uint64_t> by_key_;
};

}  // namespace pharos::gossip
