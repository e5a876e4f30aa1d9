#include "cluster/wan_paths.h"

#include <algorithm>
#include <utility>

#include "cluster/edge.h"

namespace pharos::cluster {

void WanPaths::SetServer(const std::string& datacenter, const std::string& address, bool alive) {
  if (datacenter == datacenter_) return;
  const std::lock_guard lock(mutex_);
  if (datacenters_.size() >= kDatacentersMax && !datacenters_.contains(datacenter)) return;
  Datacenter& of = datacenters_[datacenter];
  if (of.choice == nullptr) {
    of.choice = std::make_unique<ServerChoice>(node_, std::vector<std::string>(), 0);
  }
  of.addresses.insert(address);
  of.choice->SetAlive(address, alive, NowMs());
}

void WanPaths::RemoveServer(const std::string& datacenter, const std::string& address) {
  const std::lock_guard lock(mutex_);
  const auto found = datacenters_.find(datacenter);
  if (found == datacenters_.end()) return;
  found->second.choice->Forget(address);
  found->second.addresses.erase(address);
  if (found->second.addresses.empty()) datacenters_.erase(found);
}

void WanPaths::SetDistance(const std::string& datacenter, absl::Duration round_trip) {
  const std::lock_guard lock(mutex_);
  const auto found = datacenters_.find(datacenter);
  if (found != datacenters_.end()) found->second.distance = round_trip;
}

std::vector<std::string> WanPaths::Datacenters() const {
  std::vector<std::pair<absl::Duration, std::string>> keyed = {{absl::ZeroDuration(), datacenter_}};
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, of] : datacenters_) keyed.emplace_back(of.distance, name);
  }
  // Its own is the nearest, however near another seems to be.
  std::sort(keyed.begin() + 1, keyed.end());
  std::vector<std::string> names;
  names.reserve(keyed.size());
  for (auto& [distance, name] : keyed) names.push_back(std::move(name));
  return names;
}

std::optional<std::string> WanPaths::PathTo(const std::string& datacenter) {
  const std::lock_guard lock(mutex_);
  const auto found = datacenters_.find(datacenter);
  return found == datacenters_.end() ? std::nullopt : found->second.choice->Pick(NowMs());
}

void WanPaths::OnFailed(const std::string& datacenter, const std::string& address) {
  const std::lock_guard lock(mutex_);
  const auto found = datacenters_.find(datacenter);
  if (found != datacenters_.end()) found->second.choice->OnFailed(address, NowMs());
}

void WanPaths::OnGood(const std::string& datacenter, const std::string& address) {
  const std::lock_guard lock(mutex_);
  const auto found = datacenters_.find(datacenter);
  if (found != datacenters_.end()) found->second.choice->OnGood(address);
}

}  // namespace pharos::cluster
