#include "cluster/gossip_catalog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "registry/catalog.h"

namespace pharos::cluster {
namespace {

using catalog::v1::Command;
using gossip::Member;
using gossip::MemberEvent;
using gossip::MemberStatus;
using testing::ElementsAre;
using testing::IsEmpty;

class GossipCatalogTest : public testing::Test {
 protected:
  static Member MakeMember(const std::string& name, MemberStatus status,
                           const std::string& role = "pharos") {
    Member member;
    member.name = name;
    member.address = {IpAddress::V4({10, 0, 0, 7}), 8301};
    member.tags = {{"role", role}, {"dc", "dc1"}, {"id", "id-of-" + name}};
    member.status = status;
    return member;
  }
  void Event(MemberEvent::Kind kind, const Member& member) {
    planner_.OnEvent({.kind = kind, .member = member}, now_);
  }
  // Plans, applies what is planned, and returns it in words.
  std::vector<std::string> Reconcile(const std::vector<Member>& members) {
    std::vector<std::string> said;
    for (const Command& command : planner_.Plan(members, Snapshot(), now_)) {
      EXPECT_TRUE(catalog_.Apply(++index_, command).ok());
      if (command.has_deregister()) {
        said.push_back("remove " + command.deregister().node());
      } else {
        said.push_back(command.register_().node().name() +
                       (command.register_().checks(0).status() == catalog::v1::HEALTH_STATUS_PASSING
                            ? " alive"
                            : " failed"));
      }
    }
    return said;
  }
  const registry::Snapshot& Snapshot() {
    snapshot_ = catalog_.MakeSnapshot();
    return *snapshot_;
  }

  absl::Time now_ = absl::UnixEpoch();
  uint64_t index_ = 0;
  registry::Catalog catalog_{"dc1"};
  std::unique_ptr<const registry::Snapshot> snapshot_;
  GossipCatalogPlanner planner_{{.node_name = "self", .datacenter = "dc1"}, now_};
};

TEST_F(GossipCatalogTest, FollowsAMemberThroughItsLife) {
  EXPECT_THAT(Reconcile({MakeMember("a", MemberStatus::kAlive)}), ElementsAre("a alive"));
  const registry::NodeEntry* const entry = Snapshot().FindNode("a");
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(entry->node->address, "10.0.0.7");
  EXPECT_EQ(entry->node->id, "id-of-a");
  EXPECT_EQ(entry->checks[0]->output.get(), "Agent alive and reachable");
  EXPECT_THAT(Reconcile({MakeMember("a", MemberStatus::kLeaving)}), IsEmpty());
  EXPECT_THAT(Reconcile({MakeMember("a", MemberStatus::kFailed)}), ElementsAre("a failed"));
  EXPECT_THAT(Reconcile({MakeMember("a", MemberStatus::kFailed)}), IsEmpty());
  EXPECT_THAT(Reconcile({MakeMember("a", MemberStatus::kAlive)}), ElementsAre("a alive"));
  EXPECT_THAT(Reconcile({MakeMember("a", MemberStatus::kLeft)}), ElementsAre("remove a"));
  EXPECT_EQ(Snapshot().FindNode("a"), nullptr);
}

TEST_F(GossipCatalogTest, LeavesAloneWhoIsNoneOfOurs) {
  Member elsewhere = MakeMember("b", MemberStatus::kAlive);
  elsewhere.tags["dc"] = "dc2";
  EXPECT_THAT(Reconcile({MakeMember("self", MemberStatus::kAlive),
                         MakeMember("serf", MemberStatus::kAlive, ""),
                         MakeMember("real", MemberStatus::kAlive, "consul"), elsewhere}),
              IsEmpty());
}

TEST_F(GossipCatalogTest, KeepsWhatTheAgentItselfRegistered) {
  Command command;
  catalog::v1::Register& change = *command.mutable_register_();
  change.mutable_node()->set_name("a");
  change.mutable_node()->set_id("id-of-a");
  change.mutable_node()->set_address("10.0.0.1");
  (*change.mutable_node()->mutable_meta())["rack"] = "r1";
  (*change.mutable_node()->mutable_tagged_addresses())["wan"] = "1.2.3.4";
  ASSERT_TRUE(catalog_.Apply(++index_, command).ok());
  EXPECT_THAT(Reconcile({MakeMember("a", MemberStatus::kAlive)}), ElementsAre("a alive"));
  const registry::NodeEntry* const entry = Snapshot().FindNode("a");
  EXPECT_EQ(entry->node->address, "10.0.0.7");
  EXPECT_EQ(entry->node->meta, (registry::StringPairs{{"rack", "r1"}}));
  EXPECT_EQ(entry->node->tagged_addresses, (registry::StringPairs{{"wan", "1.2.3.4"}}));
}

TEST_F(GossipCatalogTest, SaysThatItIsAliveItselfIfAnEarlierLeaderFoundOtherwise) {
  Command command;
  catalog::v1::Register& change = *command.mutable_register_();
  change.mutable_node()->set_name("self");
  change.mutable_node()->set_address("10.0.0.1");
  (*change.mutable_node()->mutable_meta())["rack"] = "r1";
  catalog::v1::HealthCheck& check = *change.add_checks();
  check.set_id("serfHealth");
  check.set_name("Serf Health Status");
  check.set_status(catalog::v1::HEALTH_STATUS_CRITICAL);
  ASSERT_TRUE(catalog_.Apply(++index_, command).ok());
  EXPECT_THAT(Reconcile({MakeMember("self", MemberStatus::kAlive)}), ElementsAre("self alive"));
  EXPECT_EQ(Snapshot().FindNode("self")->node->meta, (registry::StringPairs{{"rack", "r1"}}));
  EXPECT_THAT(Reconcile({MakeMember("self", MemberStatus::kAlive)}), IsEmpty());
}

TEST_F(GossipCatalogTest, RemovesWhoWasReaped) {
  Reconcile({MakeMember("a", MemberStatus::kFailed)});
  Event(MemberEvent::Kind::kReap, MakeMember("a", MemberStatus::kFailed));
  EXPECT_THAT(Reconcile({}), ElementsAre("remove a"));
}

TEST_F(GossipCatalogTest, RemovesStrangersOnlyOnceTheyHadTimeToJoin) {
  Reconcile({MakeMember("a", MemberStatus::kAlive)});
  Command external;
  external.mutable_register_()->mutable_node()->set_name("external");
  external.mutable_register_()->mutable_node()->set_address("10.0.0.9");
  ASSERT_TRUE(catalog_.Apply(++index_, external).ok());
  const std::vector<Member> members = {MakeMember("self", MemberStatus::kAlive)};
  now_ += absl::Minutes(3);
  EXPECT_THAT(Reconcile(members), IsEmpty());
  now_ += absl::Seconds(1);
  EXPECT_THAT(Reconcile(members), ElementsAre("remove a"));
}

TEST_F(GossipCatalogTest, HoldsBackWhatFlaps) {
  const Member alive = MakeMember("a", MemberStatus::kAlive);
  const Member failed = MakeMember("a", MemberStatus::kFailed);
  Reconcile({alive});
  const auto flap = [&] {
    now_ += absl::Seconds(5);
    Event(MemberEvent::Kind::kFail, failed);
    std::vector<std::string> said = Reconcile({failed});
    now_ += absl::Seconds(5);
    Event(MemberEvent::Kind::kJoin, alive);
    for (const std::string& each : Reconcile({alive})) said.push_back(each);
    return said;
  };
  EXPECT_THAT(flap(), ElementsAre("a failed", "a alive"));
  EXPECT_THAT(flap(), ElementsAre("a failed", "a alive"));
  EXPECT_THAT(flap(), IsEmpty()) << "the third failure in ten minutes";
  EXPECT_TRUE(planner_.IsFlapping("a", now_));
  // It is what it is once that has lasted.
  now_ += absl::Seconds(5);
  Event(MemberEvent::Kind::kFail, failed);
  EXPECT_THAT(Reconcile({failed}), IsEmpty());
  EXPECT_EQ(planner_.next_due(), now_ + absl::Seconds(30));
  now_ += absl::Seconds(30);
  EXPECT_THAT(Reconcile({failed}), ElementsAre("a failed"));
  // After a while nothing is held against it.
  now_ += absl::Minutes(11);
  Event(MemberEvent::Kind::kJoin, alive);
  EXPECT_THAT(Reconcile({alive}), ElementsAre("a alive"));
}

}  // namespace
}  // namespace pharos::cluster
