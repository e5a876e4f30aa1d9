// How many of something (connections, questions under way) each client has at the moment.
#pragma once

#include <cstddef>

#include "absl/container/flat_hash_map.h"
#include "base/ip_address.h"

namespace pharos::dns {

// Holds no more addresses than there are things counted, so whoever bounds those bounds this.
class ClientCounts {
 public:
  size_t Of(const IpAddress& client) const {
    if (counts_.empty()) return 0;
    const auto found = counts_.find(client);
    return found == counts_.end() ? 0 : found->second;
  }
  void Add(const IpAddress& client) { ++counts_[client]; }
  // One that was added.
  void Remove(const IpAddress& client) {
    const auto found = counts_.find(client);
    if (found != counts_.end() && --found->second == 0) counts_.erase(found);
  }
  size_t clients() const { return counts_.size(); }

 private:
  absl::flat_hash_map<IpAddress, size_t> counts_;
};

}  // namespace pharos::dns
