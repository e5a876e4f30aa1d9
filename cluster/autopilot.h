// Which change of the configuration a leader should make next: servers join as such that only
// follow, vote once they have been stable for a while, and go when they have been dead for long,
// but never so many that those left are no majority. Pure functions of what the leader sees.
// Source: Consul's autopilot, whose options these are.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "cluster/raft_engine.h"
#include "proto/log.pb.h"
#include "proto/peer.pb.h"

namespace pharos::cluster {

struct AutopilotOptions {
  bool cleanup_dead_servers = true;
  absl::Duration last_contact_threshold = absl::Milliseconds(200);
  uint64_t max_trailing_logs = 250;
  uint32_t min_quorum = 0;  // Dead servers stay when fewer voters than this would be left.
  absl::Duration server_stabilization_time = absl::Seconds(10);
  // How long a server has to be silent to count as dead.
  absl::Duration dead_after = absl::Seconds(30);
  friend bool operator==(const AutopilotOptions&, const AutopilotOptions&) = default;
};

log::v1::Autopilot ToProto(const AutopilotOptions& options);
AutopilotOptions FromProto(const log::v1::Autopilot& proto);

// What the leader knows of a member.
struct AutopilotServer {
  uint64_t id = 0;
  RaftRole role = RaftRole::kSpare;
  bool leader = false;
  peer::v1::Server server;
  absl::Duration last_contact;
  uint64_t last_index = 0;
  uint64_t last_term = 0;
  bool healthy = false;
  absl::Time stable_since;  // InfinitePast while it is not healthy.
  absl::Duration stable_for;
};

struct AutopilotState {
  bool known = false;  // This server leads, and so knows.
  std::vector<AutopilotServer> servers;
  bool healthy = false;
  int failure_tolerance = 0;  // Voters that may still fail.
};

// Without health, which follows from the rest (JudgeHealth).
peer::v1::AutopilotResult ToProto(const AutopilotState& state);
AutopilotState FromProto(const peer::v1::AutopilotResult& result);

struct MembershipChange {
  enum class Kind { kAdd, kFollow, kVote, kRemove } kind = Kind::kAdd;
  uint64_t id = 0;
  friend bool operator==(const MembershipChange&, const MembershipChange&) = default;
};

// Fills in what follows from the members' contacts and indexes.
void JudgeHealth(const AutopilotOptions& options, uint64_t leader_last_index,
                 AutopilotState& state);

// `candidates` are servers that were heard of lately and are no members. Up to `expected` voters a
// server votes as soon as it has caught up.
std::optional<MembershipChange> NextChange(const AutopilotOptions& options,
                                           const AutopilotState& state,
                                           const std::vector<uint64_t>& candidates,
                                           uint64_t leader_last_index, int expected);

}  // namespace pharos::cluster
