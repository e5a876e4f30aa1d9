#include "cluster/state_machine.h"

#include <gtest/gtest.h>

namespace pharos::cluster {
namespace {

log::v1::Entry RegisterService(const std::string& name) {
  log::v1::Entry entry;
  catalog::v1::Register& change = *entry.add_commands()->mutable_register_();
  change.mutable_node()->set_name("alpha");
  change.mutable_node()->set_address("10.0.0.1");
  change.add_services()->set_name(name);
  return entry;
}

std::string Join(const std::vector<std::string>& parts) {
  std::string all;
  for (const std::string& part : parts) all += part;
  return all;
}

TEST(Entry, ComesBackAndHasALengthThatLibraftTakes) {
  for (int i = 0; i < 20; ++i) {
    log::v1::Entry entry = RegisterService(std::string(static_cast<size_t>(i), 'x'));
    const std::string octets = EncodeEntry(entry);
    EXPECT_EQ(octets.size() % 8, 0u);
    const auto decoded = DecodeEntry(AsOctets(octets));
    ASSERT_TRUE(decoded.ok());
    EXPECT_EQ(decoded->SerializeAsString(), entry.SerializeAsString());
  }
}

TEST(Entry, OfANewerFormAsksForAnUpgrade) {
  std::string octets = EncodeEntry(RegisterService("web"));
  octets[3] = 9;
  const absl::Status newer = DecodeEntry(AsOctets(octets)).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(newer));
  EXPECT_NE(newer.message().find("Upgrade this server"), absl::string_view::npos);
  octets[0] = 'X';
  EXPECT_TRUE(absl::IsDataLoss(DecodeEntry(AsOctets(octets)).status()));
  EXPECT_TRUE(absl::IsDataLoss(DecodeEntry(AsOctets("short")).status()));
}

TEST(StateMachine, RefusesACommandItDoesNotKnowAndAppliesNothingOfItsEntry) {
  StateMachine machine("dc1");
  log::v1::Entry entry = RegisterService("web");
  entry.add_commands()->set_time_unix_ms(1);  // Of a kind that a newer version has added.
  const auto applied = machine.Apply(2, entry);
  EXPECT_TRUE(absl::IsFailedPrecondition(applied.status()));
  EXPECT_NE(applied.status().message().find("Upgrade this server"), absl::string_view::npos);
  machine.Publish();
  const Published<registry::Snapshot>::ReadGuard snapshot(machine.published());
  EXPECT_EQ(snapshot->FindService("web"), nullptr);
}

TEST(StateMachine, AnImageTakesAllOfItToAnother) {
  StateMachine machine("dc1");
  log::v1::Entry first;
  first.set_cluster_id("c-1");
  first.mutable_set_autopilot()->mutable_autopilot()->set_max_trailing_logs(77);
  ASSERT_TRUE(machine.Apply(2, first).ok());
  ASSERT_TRUE(machine.Apply(3, RegisterService("web")).ok());
  machine.Publish();
  const std::string image = Join(machine.TakeImage(5, 0)());
  StateMachine other("dc1");
  ASSERT_TRUE(other.Restore(AsOctets(image)).ok());
  other.Publish();
  EXPECT_EQ(other.cluster_id(), "c-1");
  EXPECT_EQ(other.last_index(), 3u);
  EXPECT_EQ(other.autopilot().max_trailing_logs(), 77u);
  const Published<registry::Snapshot>::ReadGuard snapshot(other.published());
  EXPECT_NE(snapshot->FindService("web"), nullptr);
}

TEST(StateMachine, ARestorationTakesEffectWithItsLastPart) {
  StateMachine from("dc1");
  ASSERT_TRUE(from.Apply(900, RegisterService("old")).ok());
  from.Publish();
  const std::string image = Join(from.TakeImage(1, 0)());
  StateMachine machine("dc1");
  ASSERT_TRUE(machine.Apply(2, RegisterService("new")).ok());
  machine.Publish();
  const size_t half = image.size() / 2;
  const auto part = [&](uint32_t number, const std::string& data, bool last) {
    log::v1::Entry entry;
    entry.mutable_restore()->set_id("r");
    entry.mutable_restore()->set_number(number);
    entry.mutable_restore()->set_data(data);
    entry.mutable_restore()->set_last(last);
    return entry;
  };
  ASSERT_TRUE(machine.Apply(3, part(0, image.substr(0, half), false)).ok());
  // What is under way is part of an image, too.
  machine.Publish();
  StateMachine later("dc1");
  ASSERT_TRUE(later.Restore(AsOctets(Join(machine.TakeImage(1, 0)()))).ok());
  for (StateMachine* each : {&machine, &later}) {
    const auto outcome = each->Apply(4, part(1, image.substr(half), true));
    ASSERT_TRUE(outcome.ok());
    EXPECT_TRUE((*outcome)[0].ok()) << (*outcome)[0];
    const registry::Changes& changes = each->Publish();
    EXPECT_TRUE(changes.services);
    const Published<registry::Snapshot>::ReadGuard snapshot(each->published());
    EXPECT_NE(snapshot->FindService("old"), nullptr);
    EXPECT_EQ(snapshot->FindService("new"), nullptr);
    // Indexes follow the log, not the backup, which may be of another cluster.
    EXPECT_EQ(snapshot->index(), 4u);
    EXPECT_EQ(snapshot->ServiceIndex("old"), 4u);
    EXPECT_EQ(snapshot->FindNode("alpha")->node->modify_index, 4u);
  }
  const auto stray = machine.Apply(5, part(7, "x", true));
  ASSERT_TRUE(stray.ok());
  EXPECT_TRUE(absl::IsAborted((*stray)[0]));
}

}  // namespace
}  // namespace pharos::cluster
