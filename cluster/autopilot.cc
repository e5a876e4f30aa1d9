#include "cluster/autopilot.h"

#include <algorithm>
#include <utility>

namespace pharos::cluster {
namespace {

bool IsTrailing(const AutopilotOptions& options, const AutopilotServer& server,
                uint64_t last_index) {
  return server.last_index + options.max_trailing_logs < last_index;
}

}  // namespace

log::v1::Autopilot ToProto(const AutopilotOptions& options) {
  log::v1::Autopilot proto;
  proto.set_cleanup_dead_servers(options.cleanup_dead_servers);
  proto.set_last_contact_threshold_ms(absl::ToInt64Milliseconds(options.last_contact_threshold));
  proto.set_max_trailing_logs(options.max_trailing_logs);
  proto.set_min_quorum(options.min_quorum);
  proto.set_server_stabilization_ms(absl::ToInt64Milliseconds(options.server_stabilization_time));
  return proto;
}

AutopilotOptions FromProto(const log::v1::Autopilot& proto) {
  AutopilotOptions options;
  options.cleanup_dead_servers = proto.cleanup_dead_servers();
  options.last_contact_threshold = absl::Milliseconds(proto.last_contact_threshold_ms());
  options.max_trailing_logs = proto.max_trailing_logs();
  options.min_quorum = proto.min_quorum();
  options.server_stabilization_time = absl::Milliseconds(proto.server_stabilization_ms());
  return options;
}

peer::v1::AutopilotResult ToProto(const AutopilotState& state) {
  peer::v1::AutopilotResult result;
  for (const AutopilotServer& server : state.servers) {
    auto& member = *result.add_members();
    *member.mutable_server() = server.server;
    member.mutable_server()->set_raft_id(server.id);
    member.set_role(static_cast<int>(server.role));
    member.set_leader(server.leader);
    member.set_last_contact_ms(absl::ToInt64Milliseconds(server.last_contact));
    member.set_last_index(server.last_index);
    member.set_last_term(server.last_term);
    member.set_stable_ms(absl::ToInt64Milliseconds(server.stable_for));
  }
  return result;
}

AutopilotState FromProto(const peer::v1::AutopilotResult& result) {
  AutopilotState state;
  state.known = true;
  for (const auto& member : result.members()) {
    AutopilotServer server;
    server.id = member.server().raft_id();
    server.role = member.role() == static_cast<int>(RaftRole::kVoter)     ? RaftRole::kVoter
                  : member.role() == static_cast<int>(RaftRole::kStandby) ? RaftRole::kStandby
                                                                          : RaftRole::kSpare;
    server.leader = member.leader();
    server.server = member.server();
    server.last_contact = absl::Milliseconds(member.last_contact_ms());
    server.last_index = member.last_index();
    server.last_term = member.last_term();
    server.stable_for = absl::Milliseconds(member.stable_ms());
    state.servers.push_back(std::move(server));
  }
  return state;
}

void JudgeHealth(const AutopilotOptions& options, uint64_t leader_last_index,
                 AutopilotState& state) {
  int voters = 0, healthy_voters = 0;
  state.healthy = true;
  for (AutopilotServer& server : state.servers) {
    server.healthy = server.leader || (server.last_contact <= options.last_contact_threshold &&
                                       !IsTrailing(options, server, leader_last_index));
    state.healthy = state.healthy && server.healthy;
    if (server.role != RaftRole::kVoter) continue;
    ++voters;
    if (server.healthy) ++healthy_voters;
  }
  state.failure_tolerance = std::max(0, healthy_voters - (voters / 2 + 1));
}

std::optional<MembershipChange> NextChange(const AutopilotOptions& options,
                                           const AutopilotState& state,
                                           const std::vector<uint64_t>& candidates,
                                           uint64_t leader_last_index, int expected) {
  using Kind = MembershipChange::Kind;
  int voters = 0, living_voters = 0;
  for (const AutopilotServer& server : state.servers) {
    if (server.role != RaftRole::kVoter) continue;
    ++voters;
    if (server.leader || server.last_contact < options.dead_after) ++living_voters;
  }
  if (!candidates.empty()) return MembershipChange{Kind::kAdd, candidates.front()};
  for (const AutopilotServer& server : state.servers) {
    if (server.leader || server.last_contact >= options.dead_after) continue;
    if (server.role == RaftRole::kSpare) return MembershipChange{Kind::kFollow, server.id};
    if (server.role != RaftRole::kStandby || IsTrailing(options, server, leader_last_index)) {
      continue;
    }
    const bool stable = server.healthy && server.stable_for >= options.server_stabilization_time;
    if (stable || voters < expected) return MembershipChange{Kind::kVote, server.id};
  }
  if (!options.cleanup_dead_servers) return std::nullopt;
  for (const AutopilotServer& server : state.servers) {
    if (server.leader || server.last_contact < options.dead_after) continue;
    if (server.role != RaftRole::kVoter) return MembershipChange{Kind::kRemove, server.id};
    // Those that live must be a majority of those that vote now, dead ones counted in.
    if (living_voters > voters / 2 && voters - 1 >= static_cast<int>(options.min_quorum)) {
      return MembershipChange{Kind::kRemove, server.id};
    }
  }
  return std::nullopt;
}

}  // namespace pharos::cluster
