// Which datacenters there are and which of their servers to ask, as the WAN pool tells. Any thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "cluster/path_finder.h"
#include "cluster/server_choice.h"

namespace pharos::cluster {

class WanPaths : public PathFinder {
 public:
  // Further datacenters are not heard of.
  static constexpr size_t kDatacentersMax = 1024;

  // `node` makes the order in which servers are preferred.
  WanPaths(std::string datacenter, std::string node)
      : datacenter_(std::move(datacenter)), node_(std::move(node)) {}

  // That the pool has a server of a datacenter at the address (IP:PORT).
  void SetServer(const std::string& datacenter, const std::string& address, bool alive);
  // That it has left for good. A datacenter without servers is none.
  void RemoveServer(const std::string& datacenter, const std::string& address);
  // How far it is to the servers of a datacenter.
  void SetDistance(const std::string& datacenter, absl::Duration round_trip);

  std::vector<std::string> Datacenters() const override;
  std::optional<std::string> PathTo(const std::string& datacenter) override;
  void OnFailed(const std::string& datacenter, const std::string& address) override;
  void OnGood(const std::string& datacenter, const std::string& address) override;

 private:
  struct Datacenter {
    std::unique_ptr<ServerChoice> choice;
    std::set<std::string> addresses;
    absl::Duration distance = absl::InfiniteDuration();
  };
  const std::string datacenter_, node_;
  mutable std::mutex mutex_;
  std::map<std::string, Datacenter> datacenters_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pharos::cluster
