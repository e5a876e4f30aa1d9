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

CheckDefinition Check(const std::string& id, const std::string& status) {
  CheckDefinition check;
  check.id = id;
  check.name = id;
  check.status = status;
  return check;
}

catalog::v1::Register Registration(const Config& config) {
  std::vector<std::string> checks_not_run;
  return MakeRegistration(config, "id-1", checks_not_run);
}

TEST(MakeRegistration, DescribesTheNode) {
  Config config = Alpha();
  config.datacenter = "dc2";
  config.tagged_addresses = {{"lan", "10.0.0.5"}, {"wan", "203.0.113.5"}};
  config.node_meta = {{"rack", "r1"}};
  const catalog::v1::Register change = Registration(config);
  EXPECT_EQ(change.node().name(), "alpha");
  EXPECT_EQ(change.node().id(), "id-1");
  EXPECT_EQ(change.node().address(), "10.0.0.5");
  EXPECT_EQ(change.node().datacenter(), "dc2");
  EXPECT_THAT(change.node().tagged_addresses(),
              UnorderedElementsAre(Pair("lan", "10.0.0.5"), Pair("wan", "203.0.113.5")));
  EXPECT_THAT(change.node().meta(), UnorderedElementsAre(Pair("rack", "r1")));
  EXPECT_THAT(change.services(), IsEmpty()) << "a client has none of its own";
}

TEST(MakeRegistration, ServersAreInstancesOfConsul) {
  Config config = Alpha();
  config.server = true;
  config.ports.server = 8300;
  const catalog::v1::Register change = Registration(config);
  ASSERT_EQ(change.services_size(), 1);
  EXPECT_EQ(change.services(0).id(), "consul");
  EXPECT_EQ(change.services(0).name(), "consul");
  EXPECT_EQ(change.services(0).port(), 8300U);

  config.ports.server = -1;
  EXPECT_EQ(Registration(config).services(0).port(), 0U) << "the port is off";
}

TEST(MakeRegistration, DescribesEachService) {
  ServiceDefinition web = Web("web-1");
  web.tags = {"v1", "blue"};
  web.address = "10.0.0.7";
  web.port = 8080;
  web.meta = {{"version", "4"}};
  web.tagged_addresses = {{.tag = "wan", .address = "203.0.113.7", .port = 80}};
  web.weight_passing = 10;
  web.weight_warning = 2;
  web.enable_tag_override = true;
  Config config = Alpha();
  config.services = {web, Web("web-2")};
  const catalog::v1::Register change = Registration(config);
  ASSERT_EQ(change.services_size(), 2);
  const catalog::v1::Service& made = change.services(0);
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
  EXPECT_EQ(change.services(1).id(), "web-2");
}

TEST(MakeRegistration, ChecksBelongToTheirServiceOrTheNode) {
  Config config = Alpha();
  config.services = {Web("web-1")};
  config.services[0].checks = {Check("service:web-1", "passing")};
  config.checks = {Check("disk", "warning"), Check("port", "critical")};
  config.checks[1].service_id = "web-1";
  const catalog::v1::Register change = Registration(config);
  const struct {
    std::string id, service_id;
    catalog::v1::HealthStatus status;
  } kWant[] = {
      {"service:web-1", "web-1", catalog::v1::HEALTH_STATUS_PASSING},
      {"disk", "", catalog::v1::HEALTH_STATUS_WARNING},
      {"port", "web-1", catalog::v1::HEALTH_STATUS_CRITICAL},
  };
  ASSERT_EQ(change.checks_size(), 3);
  for (int i = 0; i < change.checks_size(); ++i) {
    EXPECT_EQ(change.checks(i).id(), kWant[i].id);
    EXPECT_EQ(change.checks(i).service_id(), kWant[i].service_id) << kWant[i].id;
    EXPECT_EQ(change.checks(i).status(), kWant[i].status) << kWant[i].id;
  }
}

// What is in the catalog once `after` has taken the place of `before`, each registered from a
// configuration: the ids of the node's services and checks.
class MakeUpdateTest : public testing::Test {
 protected:
  void Apply(const catalog::v1::Register& before, const catalog::v1::Register& after) {
    const absl::Status status = catalog_.Apply(++index_, MakeUpdate(before, after));
    ASSERT_TRUE(status.ok()) << status;
    snapshots_.push_back(catalog_.MakeSnapshot());
  }
  std::vector<std::string> Services() const {
    std::vector<std::string> ids;
    for (const auto& service : snapshots_.back()->FindNode("alpha")->services) {
      ids.push_back(service->id);
    }
    return ids;
  }
  std::vector<std::string> Checks() const {
    std::vector<std::string> ids;
    for (const auto& check : snapshots_.back()->FindNode("alpha")->checks) ids.push_back(check->id);
    return ids;
  }

  registry::Catalog catalog_{"dc1"};
  uint64_t index_ = 0;
  std::vector<std::unique_ptr<const registry::Snapshot>> snapshots_;
};

TEST_F(MakeUpdateTest, RemovesWhatIsGoneAndKeepsTheRest) {
  Config config = Alpha();
  config.services = {Web("web-1"), Web("web-2")};
  config.services[0].checks = {Check("service:web-1", "passing")};
  config.checks = {Check("disk", "passing"), Check("memory", "passing")};
  const catalog::v1::Register first = Registration(config);
  Apply({}, first);
  EXPECT_THAT(Services(), UnorderedElementsAre("web-1", "web-2"));
  EXPECT_THAT(Checks(), UnorderedElementsAre("service:web-1", "disk", "memory"));

  config.services = {Web("web-2"), Web("web-3")};
  config.checks = {Check("memory", "passing")};
  const catalog::v1::Register second = Registration(config);
  Apply(first, second);
  EXPECT_THAT(Services(), UnorderedElementsAre("web-2", "web-3"));
  EXPECT_THAT(Checks(), UnorderedElementsAre("memory"));
}

}  // namespace
}  // namespace pharos::agent
