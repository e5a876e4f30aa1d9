#include "cluster/gossip/serf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>

#include "absl/strings/str_format.h"
#include "cluster/gossip/packet.h"

namespace pharos::gossip {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using testing::UnorderedElementsAre;

const std::string kKeyA(32, 'a'), kKeyB(16, 'b');

// Nodes that hear one another without delay, each with what was told to its user.
class Net {
 public:
  struct Node {
    std::unique_ptr<Keyring> keyring;
    std::unique_ptr<Serf> serf;
    std::vector<std::string> said;
    bool lost_name = false;
    bool saves_keys = true;
  };

  explicit Net(size_t nodes, bool keys = false) : keys_(keys) {
    for (size_t i = 0; i < nodes; ++i) Add();
    for (size_t i = 1; i < nodes; ++i) Join(i, 0);
    Run(absl::Seconds(3));
    for (auto& node : nodes_) node->said.clear();
  }

  size_t Add(SerfOptions options = {}) {
    const size_t index = nodes_.size();
    auto node = std::make_unique<Node>();
    if (options.name.empty()) options.name = absl::StrFormat("n%d", index);
    options.address = AddressOf(index);
    if (options.tags.empty()) options.tags = {{"number", absl::StrFormat("%d", index)}};
    if (keys_) {
      node->keyring = std::make_unique<Keyring>(std::vector<std::string>{kKeyA});
      options.keyring = node->keyring.get();
      options.save_keys = [raw = node.get()](const Keyring&) {
        return raw->saves_keys ? absl::OkStatus() : absl::UnavailableError("disk full");
      };
    }
    node->serf = std::make_unique<Serf>(std::move(options), index + 1, now);
    nodes_.push_back(std::move(node));
    Flush(index);
    return index;
  }

  static SocketAddress AddressOf(size_t node) {
    return {IpAddress::V4({10, 0, 0, static_cast<uint8_t>(node)}), 7946};
  }

  void Join(size_t node, size_t by) {
    nodes_[node]->serf->Join(AddressOf(by), now);
    Flush(node);
  }
  void Kill(size_t node) { nodes_[node]->serf.reset(); }
  void Run(absl::Duration duration) {
    const absl::Time end = now + duration;
    for (; now < end; now += absl::Milliseconds(20)) {
      for (size_t i = 0; i < nodes_.size(); ++i) {
        if (nodes_[i]->serf == nullptr || nodes_[i]->serf->next_deadline() > now) continue;
        nodes_[i]->serf->Tick(now);
        Flush(i);
      }
    }
  }
  void Flush(size_t node) {
    SerfOutputs outputs = nodes_[node]->serf->TakeOutputs();
    for (const MemberEvent& event : outputs.members) {
      static constexpr const char* kNames[] = {"join", "update", "leave", "fail", "reap"};
      nodes_[node]->said.push_back(
          absl::StrFormat("%s %s", kNames[static_cast<int>(event.kind)], event.member.name));
    }
    for (const UserEvent& event : outputs.events) {
      nodes_[node]->said.push_back("event " + event.name + "=" + event.payload);
    }
    for (const Query& query : outputs.queries) nodes_[node]->said.push_back("query " + query.name);
    nodes_[node]->lost_name |= outputs.lost_name;
    for (const SendPacket& packet : outputs.swim.packets) {
      const size_t to = packet.to.ip.octets()[3];
      if (to >= nodes_.size() || nodes_[to]->serf == nullptr) continue;
      waiting_.emplace_back(node, to, packet.message);
    }
    for (const Dial& dial : outputs.swim.dials) {
      const size_t to = dial.to.ip.octets()[3];
      absl::StatusOr<std::string> answer = absl::UnavailableError("refused");
      if (to < nodes_.size() && nodes_[to]->serf != nullptr) {
        answer = nodes_[to]->serf->ReceiveStream(AsOctets(dial.request), now);
        Flush(to);
      }
      nodes_[node]->serf->OnStreamAnswer(dial.id, answer, now);
      Flush(node);
    }
    while (!delivering_ && !waiting_.empty()) {
      delivering_ = true;
      const auto [from, to, message] = waiting_.front();
      waiting_.pop_front();
      if (nodes_[to]->serf != nullptr) {
        nodes_[to]->serf->Receive(AddressOf(from), AsOctets(message), now);
        Flush(to);
      }
      delivering_ = false;
    }
  }

  Serf& serf(size_t node) { return *nodes_[node]->serf; }
  Node& node(size_t node) { return *nodes_[node]; }
  std::vector<std::string> Said(size_t node) { return std::exchange(nodes_[node]->said, {}); }
  MemberStatus Status(size_t observer, const std::string& name) {
    const auto found = nodes_[observer]->serf->members().find(name);
    return found == nodes_[observer]->serf->members().end() ? MemberStatus::kNone
                                                            : found->second.status;
  }

  absl::Time now = absl::UnixEpoch();

 private:
  bool keys_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::deque<std::tuple<size_t, size_t, std::string>> waiting_;
  bool delivering_ = false;
};

TEST(Serf, MembersKnowOneAnotherWithTheirTags) {
  Net net(4);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(net.serf(i).alive_count(), 4u);
    for (const auto& [name, member] : net.serf(i).members()) {
      EXPECT_EQ("n" + member.Tag("number"), name);
    }
  }
}

TEST(Serf, TagsChange) {
  Net net(3);
  EXPECT_TRUE(net.serf(1).SetTags({{"role", "db"}}, net.now).ok());
  net.Flush(1);
  net.Run(absl::Seconds(1));
  EXPECT_EQ(net.serf(2).members().at("n1").tags, (Tags{{"role", "db"}}));
  EXPECT_THAT(net.Said(2), ElementsAre("update n1"));
  EXPECT_EQ(net.serf(1).SetTags({{"long", std::string(510, 'x')}}, net.now).message(),
            "the tags take 520 octets; at most 512 are taken");
}

TEST(Serf, WhoLeavesIsKnownToHaveLeft) {
  Net net(4);
  net.serf(3).Leave(net.now);
  net.Flush(3);
  net.Run(absl::Seconds(1));
  EXPECT_FALSE(net.serf(3).has_left()) << "it stays for a while";
  net.Run(absl::Seconds(5));
  EXPECT_TRUE(net.serf(3).has_left());
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(net.Status(i, "n3"), MemberStatus::kLeft);
    EXPECT_THAT(net.Said(i), ElementsAre("leave n3"));
  }
}

TEST(Serf, WhoIsAloneLeavesAtOnce) {
  Net net(1);
  net.serf(0).Leave(net.now);
  EXPECT_TRUE(net.serf(0).has_left());
}

TEST(Serf, WhoDiesFailsAndCanBeForcedToLeave) {
  Net net(4);
  net.Kill(3);
  net.Run(absl::Seconds(20));
  EXPECT_EQ(net.Status(0, "n3"), MemberStatus::kFailed);
  EXPECT_THAT(net.Said(0), ElementsAre("fail n3"));
  EXPECT_TRUE(net.serf(1).ForceLeave("n3", false, net.now).ok());
  net.Flush(1);
  net.Run(absl::Seconds(1));
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(net.Status(i, "n3"), MemberStatus::kLeft);
  EXPECT_THAT(net.Said(0), ElementsAre("leave n3"));
  EXPECT_TRUE(net.serf(1).ForceLeave("n3", true, net.now).ok());
  net.Flush(1);
  net.Run(absl::Seconds(1));
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(net.Status(i, "n3"), MemberStatus::kNone);
  EXPECT_THAT(net.Said(0), ElementsAre("reap n3"));
  EXPECT_TRUE(absl::IsNotFound(net.serf(1).ForceLeave("nobody", false, net.now)));
}

TEST(Serf, WhoIsForcedToLeaveButIsThereSaysSo) {
  Net net(3);
  EXPECT_TRUE(net.serf(0).ForceLeave("n2", false, net.now).ok());
  net.Flush(0);
  EXPECT_EQ(net.Status(0, "n2"), MemberStatus::kLeaving);
  net.Run(absl::Seconds(2));
  EXPECT_EQ(net.Status(0, "n2"), MemberStatus::kAlive);
}

TEST(Serf, ReapsInTime) {
  Net net(3);
  net.Kill(2);
  net.Run(absl::Seconds(20));
  EXPECT_EQ(net.Status(0, "n2"), MemberStatus::kFailed);
  // Beyond the 72 hours at once; both nodes were stalled for them.
  net.now += absl::Hours(73);
  net.Run(absl::Seconds(30));
  EXPECT_EQ(net.Status(0, "n2"), MemberStatus::kNone);
}

TEST(Serf, EventsReachEverybodyOnce) {
  Net net(5);
  EXPECT_TRUE(net.serf(2).FireEvent("deploy", "v1", false, net.now).ok());
  net.Flush(2);
  net.Run(absl::Seconds(3));
  for (size_t i = 0; i < 5; ++i) EXPECT_THAT(net.Said(i), ElementsAre("event deploy=v1")) << i;
  EXPECT_TRUE(absl::IsInvalidArgument(
      net.serf(2).FireEvent("deploy", std::string(510, 'x'), false, net.now)));
  // Who comes later hears of it by the state of the pool.
  const size_t late = net.Add();
  net.Join(late, 0);
  net.Run(absl::Seconds(1));
  EXPECT_THAT(net.Said(late), testing::Contains("event deploy=v1"));
}

TEST(Serf, QueriesAreAckedByThoseTheyAreFor) {
  Net net(4);
  QueryOutcome outcome;
  bool done = false;
  EXPECT_TRUE(net.serf(0)
                  .StartQuery({.name = "up",
                               .payload = "x",
                               .filters = {PackNodeFilter({"n1", "n2", "n0"}),
                                           PackTagFilter({.tag = "number", .expression = "[12]"})},
                               .wants_acks = true,
                               .done =
                                   [&](const QueryOutcome& o) {
                                     outcome = o;
                                     done = true;
                                   }},
                              net.now)
                  .ok());
  net.Flush(0);
  net.Run(absl::Seconds(3));
  EXPECT_FALSE(done);
  net.Run(absl::Seconds(1));
  EXPECT_TRUE(done);
  EXPECT_THAT(outcome.acks, UnorderedElementsAre("n1", "n2"));
  EXPECT_THAT(net.Said(1), ElementsAre("query up"));
  EXPECT_THAT(net.Said(3), IsEmpty());
}

KeyOutcome RunKeys(Net& net, KeyOperation operation, const std::string& key,
                   uint8_t relay_factor = 0) {
  KeyOutcome outcome;
  bool done = false;
  net.serf(0).StartKeyOperation(
      operation, key, relay_factor,
      [&](const KeyOutcome& o) {
        outcome = o;
        done = true;
      },
      net.now);
  net.Flush(0);
  for (int i = 0; i < 100 && !done; ++i) net.Run(absl::Milliseconds(100));
  EXPECT_TRUE(done);
  return outcome;
}

TEST(Serf, KeysAreRotatedOnAllNodes) {
  Net net(3, true);
  EXPECT_TRUE(RunKeys(net, KeyOperation::kInstall, kKeyB).status().ok());
  KeyOutcome listed = RunKeys(net, KeyOperation::kList, "", 2);
  EXPECT_EQ(listed.keys,
            (std::map<std::string, size_t>{{FormatKey(kKeyA), 3}, {FormatKey(kKeyB), 3}}));
  EXPECT_EQ(listed.primary_keys, (std::map<std::string, size_t>{{FormatKey(kKeyA), 3}}));
  EXPECT_TRUE(RunKeys(net, KeyOperation::kUse, kKeyB).status().ok());
  const KeyOutcome refused = RunKeys(net, KeyOperation::kRemove, kKeyB);
  EXPECT_EQ(refused.errors.size(), 3u);
  EXPECT_TRUE(RunKeys(net, KeyOperation::kRemove, kKeyA).status().ok());
  for (size_t i = 0; i < 3; ++i) EXPECT_THAT(net.node(i).keyring->keys(), ElementsAre(kKeyB));
}

TEST(Serf, AKeyThatIsNotEverywhereIsReportedWithTheNode) {
  Net net(3, true);
  net.node(2).saves_keys = false;
  const KeyOutcome outcome = RunKeys(net, KeyOperation::kInstall, kKeyB);
  EXPECT_THAT(outcome.errors, ElementsAre("n2"));
  EXPECT_EQ(outcome.status().message(), "2/3 nodes reported success; n2: disk full");
  EXPECT_THAT(net.node(2).keyring->keys(), ElementsAre(kKeyA)) << "not used if it is not kept";
  Net plain(2);
  EXPECT_EQ(RunKeys(plain, KeyOperation::kList, "").messages.at("n1"),
            "No keyring to modify (encryption not enabled)");
}

TEST(Serf, RelayedAnswersCountOnce) {
  Net net(6);
  QueryOutcome outcome;
  EXPECT_TRUE(net.serf(0)
                  .StartQuery({.name = "_serf_conflict",
                               .payload = "n3",
                               .relay_factor = 2,
                               .done = [&](const QueryOutcome& o) { outcome = o; }},
                              net.now)
                  .ok());
  net.Flush(0);
  net.Run(absl::Seconds(5));
  ASSERT_THAT(outcome.responses, SizeIs(5)) << "all but the one that is asked about";
  const std::string& payload = outcome.responses[0].second;
  const auto record = DecodeRecord<MemberRecord>(AsOctets(payload).subspan(1));
  ASSERT_TRUE(record.has_value());
  EXPECT_EQ(record->name, "n3");
  EXPECT_EQ(record->status, 1);
  uint64_t relayed = 0;
  for (size_t i = 0; i < 6; ++i) relayed += net.serf(i).counters().relayed;
  EXPECT_EQ(relayed, 2u * 4u);
}

TEST(Serf, TheLaterOfTwoWithOneNameLosesIt) {
  Net net(4);
  const size_t late = net.Add({.name = "n2", .resolve_conflicts = true});
  net.Join(late, 0);
  net.Run(absl::Seconds(6));
  EXPECT_TRUE(net.node(late).lost_name);
  EXPECT_EQ(net.serf(0).members().at("n2").address, Net::AddressOf(2));
}

TEST(Serf, WhoIsNotAdmittedIsNotJoined) {
  Net net(1);
  const size_t strict = net.Add({.why_not_admitted = [](const std::string&, const Tags& tags) {
    return tags.contains("number") && tags.at("number") == "0" ? "wrong datacenter" : "";
  }});
  net.Join(strict, 0);
  net.Run(absl::Seconds(1));
  EXPECT_EQ(net.serf(strict).members().size(), 1u);
}

TEST(Serf, AnIdIsOneNode) {
  Net net(0);
  net.Add({.name = "first", .tags = {{"id", "x"}}});
  net.Add({.name = "second", .tags = {{"id", "x"}}});
  net.Join(1, 0);
  net.Run(absl::Seconds(1));
  EXPECT_EQ(net.serf(0).members().size(), 1u);
  // The same node at another address replaces what is known of it.
  net.Add({.name = "third", .tags = {{"id", "y"}}});
  net.Join(2, 0);
  net.Run(absl::Seconds(1));
  net.Kill(2);
  net.Add({.name = "third", .tags = {{"id", "y"}}});
  net.Join(3, 0);
  net.Run(absl::Seconds(2));
  EXPECT_EQ(net.serf(0).members().at("third").address, Net::AddressOf(3));
}

TEST(Serf, CoordinatesAreLearntFromProbes) {
  Net net(3);
  net.Run(absl::Seconds(10));
  EXPECT_THAT(net.serf(0).member_coordinates(), SizeIs(2));
  net.Kill(2);
  net.Run(absl::Seconds(20));
  EXPECT_TRUE(net.serf(0).ForceLeave("n2", true, net.now).ok());
  EXPECT_THAT(net.serf(0).member_coordinates(), SizeIs(1));
}

TEST(Serf, BoundsWhatIsSaidOfStrangers) {
  Net net(1);
  for (size_t i = 0; i < Serf::kIntentsMax + 5; ++i) {
    std::string message(1, static_cast<char>(MessageType::kUser));
    message += EncodeMessage(SerfType::kJoinIntent,
                             JoinIntent{.time = 1, .node = absl::StrFormat("x%d", i)});
    net.serf(0).Receive(Net::AddressOf(9), AsOctets(message), net.now);
  }
  EXPECT_EQ(net.serf(0).counters().intents_buffered_dropped, 5u);
}

TEST(LamportClock, IsNotDrivenToItsEnd) {
  LamportClock clock;
  clock.Witness(~LamportTime{0});
  EXPECT_EQ(clock.time(), 1u);
  clock.Witness(7);
  EXPECT_EQ(clock.time(), 8u);
}

TEST(EventBuffer, KnowsWhatItSaw) {
  EventBuffer buffer;
  EXPECT_TRUE(buffer.Add({.time = 5, .name = "a", .payload = "x"}, 6));
  EXPECT_FALSE(buffer.Add({.time = 5, .name = "a", .payload = "x"}, 6));
  EXPECT_TRUE(buffer.Add({.time = 5, .name = "a", .payload = "y"}, 6));
  EXPECT_FALSE(buffer.Add({.time = 5, .name = "b", .payload = ""}, 6 + kRecentTimes)) << "too old";
  EXPECT_TRUE(buffer.Add({.time = 5 + kRecentTimes, .name = "b", .payload = ""}, 6));
  EXPECT_FALSE(buffer.Add({.time = 5, .name = "c", .payload = ""}, 6)) << "its slot is taken";
  EXPECT_THAT(buffer.Slots(), SizeIs(1));
}

}  // namespace
}  // namespace pharos::gossip
