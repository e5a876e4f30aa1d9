// Who on the thread `grpc` waits for changes of the catalog, by what they wait for.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "cluster/change_feed.h"

namespace pharos::rpc {

// On the loop's thread.
class TopicHub {
 public:
  // Told once of each publication (or several together) that one of its topics is among; the topics
  // are all of the publication's. May add and remove waiters, itself, too.
  using Wake = std::function<void(const std::set<std::string>& topics)>;

  TopicHub(Loop& loop, cluster::CatalogAccess& consensus);

  // From then on every change is told: whoever reads the snapshot afterwards misses none.
  uint64_t Add(std::vector<std::string> topics, Wake wake);
  void Remove(uint64_t id);

 private:
  struct Waiter {
    std::vector<std::string> topics;
    Wake wake;
    std::shared_ptr<void> held;  // What is waited for.
  };

  void OnChange(const std::set<std::string>& topics);

  cluster::CatalogAccess& consensus_;
  cluster::ChangeFeed feed_;
  uint64_t last_id_ = 0;
  absl::flat_hash_map<uint64_t, Waiter> waiters_;
  absl::flat_hash_map<std::string, absl::flat_hash_set<uint64_t>> by_topic_;
};

}  // namespace pharos::rpc
