// The agent in its pools: LAN with all agents of the datacenter, and for servers WAN with the
// servers of all datacenters. Owns the thread `gossip`.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/config/config.h"
#include "agent/metrics/gossip_metrics.h"
#include "base/loop.h"
#include "cluster/gossip/pool.h"
#include "http/near.h"

namespace pharos::agent {

using http::Coordinates;

// How the pool is set up for this agent.
gossip::PoolOptions MakeLanOptions(const Config& config, const std::string& node_id);
gossip::PoolOptions MakeWanOptions(const Config& config, const std::string& node_id);

// A server of the datacenter as the pool knows it.
struct PoolServer {
  std::string address;  // Where other servers find it: IP:PORT.
  std::string node_id;
  bool left = false;  // Else it is alive.
};

class Gossip {
 public:
  struct Events {
    // On the thread `gossip`: of the LAN pool.
    std::function<void(const gossip::MemberEvent&)> member = [](const gossip::MemberEvent&) {};
    // The same of the WAN pool; and how far it is to a datacenter, every few seconds.
    std::function<void(const gossip::MemberEvent&)> wan_member = [](const gossip::MemberEvent&) {};
    std::function<void(const std::string& datacenter, absl::Duration round_trip)> distance =
        [](const std::string&, absl::Duration) {};
    std::function<void(const gossip::UserEvent&)> user_event = [](const gossip::UserEvent&) {};
    // The servers of the datacenter that are in the pool, or left it; all of them, again and again.
    std::function<void(const std::vector<PoolServer>&)> servers =
        [](const std::vector<PoolServer>&) {};
    // Asked on the thread `gossip`: whether this agent looks after what others have missed.
    std::function<bool()> is_leader = [] { return false; };
    // The agent cannot go on; in words for the operator.
    std::function<void(const absl::Status&)> failed = [](const absl::Status&) {};
  };

  // Null without a LAN port. The error says what cannot be listened on, or read.
  static absl::StatusOr<std::unique_ptr<Gossip>> Start(const Config& config,
                                                       const std::string& node_id,
                                                       const Events& events);
  ~Gossip();

  // Any thread, as all below. Null: this agent has no such pool.
  gossip::Pool* lan() const { return lan_.get(); }
  gossip::Pool* wan() const { return wan_.get(); }

  // Calls back on the thread `gossip`, by name.
  static void ReadMembers(gossip::Pool& pool,
                          std::function<void(std::vector<gossip::Member>)> done);
  // From another thread: leaves the pools and waits until that is done.
  void Leave();
  // Of the nodes of the LAN pool, not more than a few seconds old.
  std::shared_ptr<const Coordinates> coordinates() const;
  // What the pools counted, not more than a few seconds old.
  std::vector<PoolFigures> figures() const;
  // Keeps the coordinate of a node that does not gossip; at most kOtherCoordinatesMax.
  void SetCoordinate(const std::string& node, const gossip::Coordinate& coordinate);

  static constexpr size_t kOtherCoordinatesMax = 10'000;

 private:
  Gossip() = default;
  absl::Status StartPools(const Config& config, const std::string& node_id, const Events& events);
  void Publish();
  void TellServers();
  // Who was away while a key was brought in gets it, as long as there are several.
  void TeachKeys();
  void TellDistances() const;
  std::shared_ptr<const Coordinates> ReadCoordinates() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Brings the servers of the LAN pool into the WAN pool.
  void Flood();

  // Ends after the pools, which close on it.
  std::unique_ptr<Loop> loop_;
  std::unique_ptr<gossip::Pool> lan_, wan_;
  std::unique_ptr<LoopTimer> publish_timer_, flood_timer_;
  std::string datacenter_;
  std::function<void(const std::vector<PoolServer>&)> on_servers_;
  std::function<bool()> is_leader_;
  bool newcomers_ = false;  // Somebody joined since keys were taught.
  std::function<void(const std::string&, absl::Duration)> distance_;
  mutable std::mutex mutex_;
  std::shared_ptr<const Coordinates> coordinates_ ABSL_GUARDED_BY(mutex_);
  Coordinates other_coordinates_ ABSL_GUARDED_BY(mutex_);
  std::vector<PoolFigures> figures_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pharos::agent
