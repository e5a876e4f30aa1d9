#include "registry/partial_catalog.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "registry/image.h"
#include "registry/prepared_query.h"
#include "registry/remote_catalogs.h"

namespace pharos::registry {
namespace {

catalog::v1::Command Register(const std::string& node, const std::string& service, int port,
                              catalog::v1::HealthStatus status) {
  catalog::v1::Command command;
  catalog::v1::Register& change = *command.mutable_register_();
  change.mutable_node()->set_name(node);
  change.mutable_node()->set_address("10.0.0.1");
  catalog::v1::Service& added = *change.add_services();
  added.set_name(service);
  added.set_port(static_cast<uint32_t>(port));
  catalog::v1::HealthCheck& check = *change.add_checks();
  check.set_id("check-" + service);
  check.set_service_id(service);
  check.set_status(status);
  return command;
}

// The instances of a service as text, each with its health.
std::string InstancesOf(const Snapshot& snapshot, const std::string& service) {
  std::string text;
  const ServiceEntry* entry = snapshot.FindService(service);
  if (entry == nullptr) return text;
  for (const auto& instance : entry->instances) {
    absl::StrAppend(&text, instance->node->name, ":", instance->service->port, "/",
                    static_cast<int>(instance->health), " ");
  }
  return text;
}

TEST(PartialCatalog, HasANodeWithAllThatIsRegisteredOnIt) {
  Catalog whole("dc2");
  PartialCatalog partial("dc2", false);
  ASSERT_TRUE(whole.Apply(1, Register("a", "web", 1, catalog::v1::HEALTH_STATUS_PASSING)).ok());
  ASSERT_TRUE(whole.Apply(2, Register("a", "db", 2, catalog::v1::HEALTH_STATUS_CRITICAL)).ok());
  auto snapshot = whole.MakeSnapshot();
  catalog::v1::ImageChunk node;
  WriteWholeNodePart(*snapshot, "a", node);
  EXPECT_EQ(partial.Set("wa", node), 0u);
  auto seen = partial.MakeSnapshot();
  ASSERT_NE(seen->FindNode("a"), nullptr);
  EXPECT_EQ(seen->FindNode("a")->services.size(), 2u);
  EXPECT_EQ(seen->FindNode("a")->checks.size(), 2u);
  EXPECT_EQ(partial.changes().service_names.size(), 2u);
  // What is changed here is seen until the part is told again.
  ASSERT_TRUE(partial.ApplyHere(Register("a", "web", 1, catalog::v1::HEALTH_STATUS_CRITICAL)));
  seen = partial.MakeSnapshot();
  EXPECT_EQ(InstancesOf(*seen, "web"), "a:1/2 ");
  ASSERT_TRUE(partial.ApplyHere(Register("a", "ghost", 9, catalog::v1::HEALTH_STATUS_PASSING)));
  partial.Set("wa", node);
  seen = partial.MakeSnapshot();
  EXPECT_EQ(InstancesOf(*seen, "web"), "a:1/0 ");
  EXPECT_EQ(InstancesOf(*seen, "ghost"), "") << "nobody but this agent has heard of it";
  EXPECT_EQ(seen->FindNode("a")->checks.size(), 2u);
}

TEST(PartialCatalog, HasWhatItsPartsSayAndLetsGoOfWhatTheySayNoMore) {
  Catalog whole("dc2");
  PartialCatalog partial("dc2", false);
  ASSERT_TRUE(whole.Apply(1, Register("a", "web", 1, catalog::v1::HEALTH_STATUS_PASSING)).ok());
  ASSERT_TRUE(whole.Apply(2, Register("a", "db", 2, catalog::v1::HEALTH_STATUS_PASSING)).ok());
  auto snapshot = whole.MakeSnapshot();
  catalog::v1::ImageChunk web, db;
  WriteServicePart(*snapshot, "web", web);
  WriteServicePart(*snapshot, "db", db);
  EXPECT_EQ(partial.Set("sweb", web), 0u);
  EXPECT_EQ(partial.Set("sdb", db), 0u);
  auto seen = partial.MakeSnapshot();
  EXPECT_EQ(InstancesOf(*seen, "web"), "a:1/0 ");
  EXPECT_EQ(seen->datacenter(), "dc2");
  partial.Set("sweb", {});
  seen = partial.MakeSnapshot();
  EXPECT_EQ(InstancesOf(*seen, "web"), "");
  EXPECT_EQ(InstancesOf(*seen, "db"), "a:2/0 ");
  partial.Remove("sdb");
  seen = partial.MakeSnapshot();
  EXPECT_EQ(seen->node_count(), 0u);
  EXPECT_GT(seen->index(), 0u);
}

TEST(PartialCatalog, HasTheIngressGatewaysThatItWasToldOfLast) {
  const auto gateway = [](const std::string& name, const std::string& service) {
    catalog::v1::Command command;
    command.mutable_set_ingress_gateway()->set_name(name);
    auto& listener = *command.mutable_set_ingress_gateway()->add_listeners();
    listener.set_port(8443);
    listener.add_services()->set_name(service);
    return command;
  };
  Catalog whole("dc2");
  PartialCatalog partial("dc2", false);
  const auto tell = [&] {
    catalog::v1::ImageChunk part;
    WriteIngressPart(*whole.MakeSnapshot(), part);
    EXPECT_EQ(partial.Set(IngressPart(), part), 0u);
    return partial.MakeSnapshot();
  };
  ASSERT_TRUE(whole.Apply(1, gateway("edge", "web")).ok());
  ASSERT_TRUE(whole.Apply(2, gateway("Gate", "web")).ok());
  EXPECT_EQ(IngressGateways(*tell(), "web"), (std::vector<std::string>{"edge", "gate"}));
  ASSERT_TRUE(whole.Apply(3, gateway("edge", "api")).ok());
  // One that is spelled otherwise is the same.
  ASSERT_TRUE(whole.Apply(4, gateway("gate", "web")).ok());
  EXPECT_EQ(IngressGateways(*tell(), "web"), (std::vector<std::string>{"gate"}));
  catalog::v1::Command gone;
  gone.mutable_delete_ingress_gateway()->set_name("gate");
  ASSERT_TRUE(whole.Apply(5, gone).ok());
  const auto seen = tell();
  EXPECT_TRUE(IngressGateways(*seen, "web").empty());
  EXPECT_EQ(IngressGateways(*seen, "api"), (std::vector<std::string>{"edge"}));
  partial.Remove(IngressPart());
  EXPECT_TRUE(IngressGateways(*partial.MakeSnapshot(), "api").empty());
}

TEST(PartialCatalog, TranslatesToWhatIsReachedFromOutside) {
  Catalog whole("dc2");
  catalog::v1::Command command = Register("a", "web", 1, catalog::v1::HEALTH_STATUS_PASSING);
  auto& node = *command.mutable_register_()->mutable_node();
  (*node.mutable_tagged_addresses())["lan_ipv4"] = "10.0.0.1";
  (*node.mutable_tagged_addresses())["wan"] = "198.51.100.1";
  auto& service = *command.mutable_register_()->mutable_services(0);
  service.set_address("10.0.0.2");
  (*service.mutable_tagged_addresses())["wan"].set_address("198.51.100.2");
  (*service.mutable_tagged_addresses())["wan"].set_port(8080);
  ASSERT_TRUE(whole.Apply(1, command).ok());
  auto snapshot = whole.MakeSnapshot();
  catalog::v1::ImageChunk web;
  WriteServicePart(*snapshot, "web", web);
  for (const bool translate : {false, true}) {
    PartialCatalog partial("dc2", translate);
    partial.Set("sweb", web);
    auto seen = partial.MakeSnapshot();
    const ServiceEntry* entry = seen->FindService("web");
    ASSERT_NE(entry, nullptr);
    const Instance& instance = *entry->instances[0];
    EXPECT_EQ(instance.service->port, translate ? 8080 : 1);
    EXPECT_EQ(instance.dns.v4[3], 2);
    EXPECT_EQ(instance.dns.v4[0], translate ? 198 : 10);
    EXPECT_EQ(instance.node->dns.v4[0], translate ? 198 : 10);
  }
}

// Whatever happens to a catalog, its parts tell the same of what they are about.
TEST(PartialCatalog, IsAsTheWholeAfterEveryChange) {
  const uint64_t seed = SecureRandomU64();
  SCOPED_TRACE(absl::StrCat("seed ", seed));
  Random random(seed);
  Catalog whole("dc2");
  PartialCatalog partial("dc2", false);
  const std::vector<std::string> services = {"s0", "s1", "s2"};
  for (uint64_t index = 1; index <= 500; ++index) {
    const std::string node = absl::StrCat("n", random.Below(4));
    const std::string& service = services[random.Below(3)];
    if (random.Below(3) > 0) {
      const auto status = static_cast<catalog::v1::HealthStatus>(1 + random.Below(3));
      ASSERT_TRUE(
          whole.Apply(index, Register(node, service, static_cast<int>(random.Below(9)), status))
              .ok());
    } else {
      catalog::v1::Command command;
      command.mutable_deregister()->set_node(node);
      if (random.Below(2) > 0) {
        command.mutable_deregister()->set_service_id(service);
      } else if (random.Below(2) > 0) {
        command.mutable_deregister()->set_check_id("check-" + service);
      }
      ASSERT_TRUE(whole.Apply(index, command).ok());
    }
    auto snapshot = whole.MakeSnapshot();
    for (const std::string& name : services) {
      catalog::v1::ImageChunk part;
      WriteServicePart(*snapshot, name, part);
      EXPECT_EQ(partial.Set("s" + name, part), 0u);
    }
    auto seen = partial.MakeSnapshot();
    for (const std::string& name : services) {
      ASSERT_EQ(InstancesOf(*seen, name), InstancesOf(*snapshot, name)) << index;
    }
  }
}

}  // namespace
}  // namespace pharos::registry
