#include "cluster/autopilot.h"

#include <gtest/gtest.h>

#include <string_view>

namespace pharos::cluster {
namespace {

using Kind = MembershipChange::Kind;

AutopilotServer Member(uint64_t id, RaftRole role, absl::Duration last_contact,
                       absl::Duration stable_for = absl::Minutes(1), uint64_t last_index = 100) {
  AutopilotServer server;
  server.id = id;
  server.role = role;
  server.last_contact = last_contact;
  server.last_index = last_index;
  server.stable_for = stable_for;
  return server;
}

AutopilotServer Leader() {
  AutopilotServer server = Member(1, RaftRole::kVoter, absl::ZeroDuration());
  server.leader = true;
  return server;
}

constexpr absl::Duration kLately = absl::Milliseconds(20);
constexpr absl::Duration kLongAgo = absl::Minutes(2);

TEST(NextChange, TakesIn_Promotes_AndCleansUp) {
  const struct {
    std::string_view shows;
    std::vector<AutopilotServer> servers;
    std::vector<uint64_t> candidates;
    int expected;
    std::optional<MembershipChange> want;
  } kRows[] = {
      {"nothing to do", {Leader(), Member(2, RaftRole::kVoter, kLately)}, {}, 0, std::nullopt},
      {"a candidate is taken in", {Leader()}, {7, 8}, 0, {{Kind::kAdd, 7}}},
      {"a new member follows at once",
       {Leader(), Member(2, RaftRole::kSpare, kLately)},
       {},
       0,
       {{Kind::kFollow, 2}}},
      {"one that is silent does not",
       {Leader(), Member(2, RaftRole::kVoter, kLately), Member(3, RaftRole::kVoter, kLately),
        Member(4, RaftRole::kSpare, kLongAgo)},
       {},
       0,
       {{Kind::kRemove, 4}}},
      {"a follower votes once it was stable",
       {Leader(), Member(2, RaftRole::kStandby, kLately)},
       {},
       0,
       {{Kind::kVote, 2}}},
      {"and not before",
       {Leader(), Member(2, RaftRole::kStandby, kLately, absl::Seconds(9))},
       {},
       0,
       std::nullopt},
      {"unless the servers that were expected are not yet there",
       {Leader(), Member(2, RaftRole::kStandby, kLately, absl::ZeroDuration())},
       {},
       3,
       {{Kind::kVote, 2}}},
      {"one that is far behind does not",
       {Leader(), Member(2, RaftRole::kStandby, kLately, absl::Minutes(1), 3)},
       {},
       3,
       std::nullopt},
      {"a dead voter goes while the living are a majority",
       {Leader(), Member(2, RaftRole::kVoter, kLately), Member(3, RaftRole::kVoter, kLongAgo)},
       {},
       0,
       {{Kind::kRemove, 3}}},
      {"and stays when they are none",
       {Leader(), Member(2, RaftRole::kVoter, kLongAgo)},
       {},
       0,
       std::nullopt},
  };
  for (const auto& row : kRows) {
    AutopilotState state;
    state.servers = row.servers;
    JudgeHealth({}, 1000, state);
    for (AutopilotServer& server : state.servers) {
      if (server.last_index == 100) server.last_index = 1000;
    }
    JudgeHealth({}, 1000, state);
    EXPECT_EQ(NextChange({}, state, row.candidates, 1000, row.expected), row.want) << row.shows;
  }
}

TEST(NextChange, KeepsTheDeadWhenToldTo) {
  AutopilotState state;
  state.servers = {Leader(), Member(2, RaftRole::kVoter, kLately),
                   Member(3, RaftRole::kVoter, kLongAgo)};
  JudgeHealth({}, 100, state);
  EXPECT_EQ(NextChange({.cleanup_dead_servers = false}, state, {}, 100, 0), std::nullopt);
  EXPECT_EQ(NextChange({.min_quorum = 3}, state, {}, 100, 0), std::nullopt);
}

TEST(JudgeHealth, CountsWhatMayStillFail) {
  AutopilotState state;
  state.servers = {Leader(), Member(2, RaftRole::kVoter, kLately),
                   Member(3, RaftRole::kVoter, kLately)};
  JudgeHealth({}, 100, state);
  EXPECT_TRUE(state.healthy);
  EXPECT_EQ(state.failure_tolerance, 1);
  state.servers[2].last_contact = kLongAgo;
  JudgeHealth({}, 100, state);
  EXPECT_FALSE(state.healthy);
  EXPECT_EQ(state.failure_tolerance, 0);
}

}  // namespace
}  // namespace pharos::cluster
