#include "agent/registration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "registry/catalog.h"

namespace pharos::agent {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;

Config Alpha() {
  Config config;
  config.node_name = "alpha";
  config.advertise_addr = *IpAddress::Parse("10.0.0.5");
  return config;
}

ServiceDefinition Web(const std::string& id) {
  ServiceDefinition service;
  service.id = id;
  service.name = "web";
  return service;
}

LocalCheck Check(const std::string& id, const std::string& service_id, registry::Health status) {
  LocalCheck check;
  check.definition.id = id;
  check.definition.name = id;
  check.definition.service_id = service_id;
  check.status = status;
  check.type = "ttl";
  return check;
}

LocalState StateOf(const std::vector<std::string>& services,
                   const std::vector<LocalCheck>& checks) {
  LocalState state;
  for (const std::string& id : services) state.services[id].definition = Web(id);
  for (const LocalCheck& check : checks) state.SetCheck(check);
  return state;
}

TEST(MakeNodeRegistration, DescribesTheNode) {
  Config config = Alpha();
  config.datacenter = "dc2";
  config.tagged_addresses = {{"lan", "10.0.0.5"}, {"wan", "203.0.113.5"}};
  config.node_meta = {{"rack", "r1"}};
  const catalog::v1::Register change = MakeNodeRegistration(config, "id-1");
  EXPECT_EQ(change.node().name(), "alpha");
  EXPECT_EQ(change.node().id(), "id-1");
  EXPECT_EQ(change.node().address(), "10.0.0.5");
  EXPECT_EQ(change.node().datacenter(), "dc2");
  EXPECT_THAT(change.node().tagged_addresses(),
              UnorderedElementsAre(Pair("lan", "10.0.0.5"), Pair("wan", "203.0.113.5")));
  EXPECT_THAT(change.node().meta(),
              UnorderedElementsAre(Pair("rack", "r1"), Pair("consul-network-segment", "")));
  EXPECT_THAT(change.services(), IsEmpty()) << "a client has none of its own";
  ASSERT_EQ(change.checks_size(), 1);
  EXPECT_EQ(change.checks(0).id(), "serfHealth");
  EXPECT_EQ(change.checks(0).status(), catalog::v1::HEALTH_STATUS_PASSING);
}

TEST(MakeNodeRegistration, ServersAreInstancesOfConsul) {
  Config config = Alpha();
  config.server = true;
  config.ports.server = 8300;
  const catalog::v1::Register change = MakeNodeRegistration(config, "id-1");
  ASSERT_EQ(change.services_size(), 1);
  EXPECT_EQ(change.services(0).id(), "consul");
  EXPECT_EQ(change.services(0).name(), "consul");
  EXPECT_EQ(change.services(0).port(), 8300U);

  config.ports.server = -1;
  EXPECT_EQ(MakeNodeRegistration(config, "id-1").services(0).port(), 0U) << "the port is off";
}

TEST(MakeServiceRecord, HasEverythingOfTheDefinition) {
  ServiceDefinition web = Web("web-1");
  web.tags = {"v1", "blue"};
  web.address = "10.0.0.7";
  web.port = 8080;
  web.meta = {{"version", "4"}};
  web.tagged_addresses = {{.tag = "wan", .address = "203.0.113.7", .port = 80}};
  web.weight_passing = 10;
  web.weight_warning = 2;
  web.enable_tag_override = true;
  const catalog::v1::Service made = MakeServiceRecord(web);
  EXPECT_EQ(made.id(), "web-1");
  EXPECT_EQ(made.name(), "web");
  EXPECT_THAT(made.tags(), ElementsAre("v1", "blue"));
  EXPECT_EQ(made.address(), "10.0.0.7");
  EXPECT_EQ(made.port(), 8080U);
  EXPECT_THAT(made.meta(), UnorderedElementsAre(Pair("version", "4")));
  EXPECT_EQ(made.tagged_addresses().at("wan").address(), "203.0.113.7");
  EXPECT_EQ(made.tagged_addresses().at("wan").port(), 80U);
  EXPECT_EQ(made.weights().passing(), 10U);
  EXPECT_EQ(made.weights().warning(), 2U);
  EXPECT_TRUE(made.enable_tag_override());
}

// The catalog's entry of a node that is kept in step with a state.
class MakeSyncTest : public testing::Test {
 protected:
  const registry::NodeEntry* Entry() const {
    return snapshots_.empty() ? nullptr : snapshots_.back()->FindNode("alpha");
  }
  // Whether anything had to be changed.
  bool Sync(const LocalState& state) {
    const auto command =
        MakeSync(Entry(), MakeRegistration(MakeNodeRegistration(Alpha(), "id-1"), state));
    if (!command) return false;
    Apply(*command);
    return true;
  }
  void Apply(const catalog::v1::Command& command) {
    const absl::Status status = catalog_.Apply(++index_, command);
    ASSERT_TRUE(status.ok()) << status;
    snapshots_.push_back(catalog_.MakeSnapshot());
  }
  template <typename List>
  static std::vector<std::string> Ids(const List& list) {
    std::vector<std::string> ids;
    ids.reserve(list.size());
    for (const auto& record : list) ids.emplace_back(record->id);
    return ids;
  }

  registry::Catalog catalog_{"dc1"};
  uint64_t index_ = 0;
  std::vector<std::unique_ptr<const registry::Snapshot>> snapshots_;
};

TEST_F(MakeSyncTest, AddsWhatIsNewAndRemovesWhatIsGone) {
  EXPECT_TRUE(Sync(StateOf({"web-1", "web-2"}, {Check("one", "web-1", registry::Health::kPassing),
                                                Check("disk", "", registry::Health::kPassing)})));
  EXPECT_THAT(Ids(Entry()->services), ElementsAre("web-1", "web-2"));
  EXPECT_THAT(Ids(Entry()->checks), ElementsAre("disk", "one", "serfHealth"));

  EXPECT_TRUE(Sync(StateOf({"web-2", "web-3"}, {Check("memory", "", registry::Health::kPassing)})));
  EXPECT_THAT(Ids(Entry()->services), ElementsAre("web-2", "web-3"));
  EXPECT_THAT(Ids(Entry()->checks), ElementsAre("memory", "serfHealth"));
}

TEST_F(MakeSyncTest, ChangesNothingThatIsInStep) {
  const LocalState state = StateOf({"web-1"}, {Check("one", "web-1", registry::Health::kWarning)});
  EXPECT_TRUE(Sync(state));
  EXPECT_FALSE(Sync(state));
}

TEST_F(MakeSyncTest, UndoesWhatOthersDidToTheNode) {
  const LocalState state = StateOf({"web-1"}, {Check("one", "web-1", registry::Health::kPassing)});
  Sync(state);
  catalog::v1::Command foreign;
  catalog::v1::Register& change = *foreign.mutable_register_();
  change.mutable_node()->set_name("alpha");
  change.mutable_node()->set_address("10.9.9.9");
  change.add_services()->set_name("intruder");
  catalog::v1::HealthCheck& check = *change.add_checks();
  check.set_id("one");
  check.set_name("one");
  check.set_service_id("web-1");
  check.set_status(catalog::v1::HEALTH_STATUS_CRITICAL);
  Apply(foreign);

  EXPECT_TRUE(Sync(state));
  EXPECT_EQ(Entry()->node->address, "10.0.0.5");
  EXPECT_THAT(Ids(Entry()->services), ElementsAre("web-1"));
  EXPECT_EQ(Entry()->checks[0]->status, registry::Health::kPassing);
}

TEST_F(MakeSyncTest, LeavesItToTheLeaderWhetherTheNodeIsAlive) {
  const LocalState state = StateOf({"web-1"}, {});
  Sync(state);
  catalog::v1::Command judged;
  catalog::v1::Register& change = *judged.mutable_register_();
  change.mutable_node()->set_name("alpha");
  change.set_skip_node_update(true);
  catalog::v1::HealthCheck& check = *change.add_checks();
  check.set_id("serfHealth");
  check.set_name("Serf Health Status");
  check.set_status(catalog::v1::HEALTH_STATUS_CRITICAL);
  Apply(judged);

  EXPECT_FALSE(Sync(state));
  EXPECT_TRUE(Sync(StateOf({"web-2"}, {})));
  EXPECT_EQ(Entry()->checks[0]->status, registry::Health::kCritical);
}

}  // namespace
}  // namespace pharos::agent
