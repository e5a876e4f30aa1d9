// What the pools count, for metrics.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "agent/metrics/families.h"
#include "cluster/gossip/pool.h"

namespace pharos::agent {

// Read at one moment.
struct PoolFigures {
  std::string pool;  // lan or wan
  std::map<gossip::MemberStatus, size_t> members;
  gossip::SerfCounters serf;
  gossip::SwimCounters swim;
  gossip::PoolCounters network;
  size_t intents_queued = 0, events_queued = 0, queries_queued = 0, broadcasts_queued = 0;
  uint64_t broadcasts_dropped = 0;
  int health_score = 0;
  uint64_t coordinate_resets = 0;
  // How often who accused whom.
  std::map<std::pair<std::string, std::string>, uint64_t> accusations;
};

// On the pool's thread.
PoolFigures ReadFigures(const std::string& name, const gossip::Pool& pool);

void CollectGossip(const std::vector<PoolFigures>& pools, Families& families);

}  // namespace pharos::agent
