// How fast a pool looks for failures, and how much it talks for that.
#pragma once

#include "absl/time/time.h"

namespace pharos::gossip {

// The numbers of memberlist 0.2 and Serf 0.9, by their names there.
struct Profile {
  absl::Duration tcp_timeout = absl::Seconds(10);
  int indirect_checks = 3;
  int retransmit_multiplier = 4;
  int suspicion_multiplier = 4;
  int suspicion_max_multiplier = 6;
  absl::Duration push_pull_interval = absl::Seconds(30);
  absl::Duration probe_interval = absl::Seconds(1);
  absl::Duration probe_timeout = absl::Milliseconds(500);
  int awareness_multiplier = 8;
  int gossip_nodes = 3;
  absl::Duration gossip_interval = absl::Milliseconds(200);
  absl::Duration gossip_to_the_dead = absl::Seconds(30);
  bool tcp_pings = true;
  // How long after its failure a name may come back at another address without being known by its
  // id; zero: never.
  absl::Duration dead_node_reclaim = absl::Seconds(30);

  static Profile Lan() { return {}; }
  static Profile Wan() {
    Profile wan;
    wan.tcp_timeout = absl::Seconds(30);
    wan.suspicion_multiplier = 6;
    wan.push_pull_interval = absl::Seconds(60);
    wan.probe_interval = absl::Seconds(5);
    wan.probe_timeout = absl::Seconds(3);
    wan.gossip_interval = absl::Milliseconds(500);
    wan.gossip_to_the_dead = absl::Seconds(60);
    return wan;
  }
  // For a pool on one machine.
  static Profile Local() {
    Profile local;
    local.tcp_timeout = absl::Seconds(1);
    local.indirect_checks = 1;
    local.retransmit_multiplier = 2;
    local.suspicion_multiplier = 3;
    local.push_pull_interval = absl::Seconds(15);
    local.probe_timeout = absl::Milliseconds(200);
    local.gossip_interval = absl::Milliseconds(100);
    local.gossip_to_the_dead = absl::Seconds(15);
    return local;
  }
  // Ours: failures within 1.5 s in a network that answers within 100 ms. bench/README.md has what
  // it costs.
  static Profile Fast() {
    Profile fast;
    fast.tcp_timeout = absl::Seconds(5);
    fast.suspicion_multiplier = 3;
    fast.suspicion_max_multiplier = 2;
    fast.probe_interval = absl::Milliseconds(200);
    fast.probe_timeout = absl::Milliseconds(100);
    fast.gossip_interval = absl::Milliseconds(50);
    return fast;
  }
};

}  // namespace pharos::gossip
