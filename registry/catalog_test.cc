#include "registry/catalog.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/check.h"
#include "base/random.h"
#include "registry/records.h"

namespace pharos::registry {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class CatalogTest : public testing::Test {
 protected:
  absl::Status TryApply(const std::string& text) {
    catalog::v1::Command command;
    CHECK(google::protobuf::TextFormat::ParseFromString(text, &command));
    absl::Status status = catalog_.Apply(++index_, command);
    kept_.push_back(catalog_.MakeSnapshot());
    return status;
  }
  void Apply(const std::string& text) {
    const absl::Status status = TryApply(text);
    ASSERT_TRUE(status.ok()) << status;
  }
  const Snapshot& Now() const { return *kept_.back(); }

  // "node/id" of the instances at the positions.
  static std::vector<std::string> Names(const ServiceEntry& entry,
                                        std::span<const uint32_t> positions) {
    std::vector<std::string> names;
    for (const uint32_t position : positions) {
      const Instance& instance = *entry.instances[position];
      names.push_back(instance.node->name + "/" + instance.service->id.str());
    }
    return names;
  }
  std::vector<std::string> Healthy(std::string_view service, bool only_passing = false) const {
    const ServiceEntry* entry = Now().FindService(service);
    return entry == nullptr
               ? std::vector<std::string>{"no such service"}
               : Names(*entry, entry->all.everyone.Get(only_passing ? Include::kPassing
                                                                    : Include::kHealthy));
  }

  Catalog catalog_{"dc1"};
  uint64_t index_ = 0;
  std::vector<std::unique_ptr<const Snapshot>> kept_;
};

constexpr char kAlpha[] = R"(register {
  node { name: "Alpha" address: "10.0.0.1" meta { key: "rack" value: "r1" }
         tagged_addresses { key: "wan" value: "203.0.113.1" } }
  services { name: "web" port: 80 tags: "V1" tags: "v1" tags: "blue" } })";

TEST_F(CatalogTest, FindsRecordsByNameWithoutRegardToCase) {
  Apply(kAlpha);
  ASSERT_NE(Now().FindNode("alpha"), nullptr);
  EXPECT_EQ(Now().FindNode("alpha")->node->name, "Alpha");
  EXPECT_EQ(Now().FindNode("alpha")->node->datacenter, "dc1");
  const ServiceEntry* web = Now().FindService("web");
  ASSERT_NE(web, nullptr);
  EXPECT_EQ(web->instances[0]->service->id, "web") << "without an id it is the name";
  ASSERT_NE(web->FindTag("v1"), nullptr);
  EXPECT_THAT(Names(*web, web->FindTag("v1")->everyone.Get(Include::kHealthy)),
              ElementsAre("Alpha/web"));
  EXPECT_EQ(web->FindTag("green"), nullptr);
}

TEST_F(CatalogTest, OldSnapshotsNeverChange) {
  Apply(kAlpha);
  const Snapshot& before = Now();
  Apply(R"(register { node { name: "alpha" address: "10.0.0.9" }
                      services { name: "web" port: 8080 } })");
  Apply(R"(deregister { node: "ALPHA" })");
  EXPECT_EQ(before.FindNode("alpha")->node->address, "10.0.0.1");
  EXPECT_EQ(before.FindService("web")->instances[0]->service->port, 80);
  EXPECT_FALSE(before.FindAddress(*IpAddress::Parse("10.0.0.1")).empty());
  EXPECT_EQ(Now().FindNode("alpha"), nullptr);
  EXPECT_EQ(Now().FindService("web"), nullptr);
  EXPECT_TRUE(Now().FindAddress(*IpAddress::Parse("10.0.0.9")).empty());
}

TEST_F(CatalogTest, RegisteringTheSameAgainLeavesItsIndex) {
  Apply(kAlpha);
  const uint64_t first = Now().FindNode("alpha")->node->modify_index;
  Apply(kAlpha);
  EXPECT_EQ(Now().FindNode("alpha")->node->modify_index, first);
  EXPECT_EQ(Now().FindNode("alpha")->services[0]->modify_index, first);
  Apply(R"(register { node { name: "alpha" } skip_node_update: true
                      services { name: "web" port: 81 } })");
  EXPECT_EQ(Now().FindNode("alpha")->node->modify_index, first);
  EXPECT_EQ(Now().FindNode("alpha")->services[0]->modify_index, 3u);
  EXPECT_EQ(Now().FindNode("alpha")->services[0]->create_index, first);
}

TEST_F(CatalogTest, RegisteringANodeAgainReplacesWhatItIsUnlessToldNotTo) {
  Apply(kAlpha);
  Apply(R"(register { node { name: "alpha" address: "10.0.0.2" } skip_node_update: true })");
  EXPECT_EQ(Now().FindNode("alpha")->node->address, "10.0.0.1");
  EXPECT_EQ(Now().FindNode("alpha")->node->meta.size(), 1u);
  Apply(R"(register { node { name: "alpha" address: "10.0.0.2" } })");
  EXPECT_THAT(Now().FindNode("alpha")->node->meta, IsEmpty());
  EXPECT_THAT(Now().FindNode("alpha")->node->tagged_addresses, IsEmpty());
  EXPECT_EQ(Now().FindService("web")->instances[0]->dns.v4, (std::array<uint8_t, 4>{10, 0, 0, 2}))
      << "instances follow their node";
}

TEST_F(CatalogTest, HealthIsTheWorstOfTheNodesChecksAndTheServicesOwn) {
  Apply(R"(register { node { name: "a" address: "10.0.0.1" }
                      services { id: "w1" name: "web" } services { id: "w2" name: "web" } })");
  EXPECT_THAT(Healthy("web"), ElementsAre("a/w1", "a/w2"));
  const struct {
    const char* shows;
    const char* change;
    std::vector<std::string> healthy, passing;
  } kSteps[] = {
      {"a warning of one instance; passing ones come first",
       R"(register { node { name: "a" } skip_node_update: true
          checks { id: "c1" service_id: "W1" status: HEALTH_STATUS_WARNING } })",
       {"a/w2", "a/w1"},
       {"a/w2"}},
      {"a check that nobody gave a status is critical",
       R"(register { node { name: "a" } skip_node_update: true
          checks { id: "c2" service_id: "w2" } })",
       {"a/w1"},
       {}},
      {"a check of the node counts for all",
       R"(register { node { name: "a" } skip_node_update: true
          checks { id: "node" status: HEALTH_STATUS_CRITICAL } })",
       {},
       {}},
      {"what the node's check took out comes back without it",
       R"(deregister { node: "a" check_id: "node" })",
       {"a/w1"},
       {}},
      {"a service takes its checks with it",
       R"(deregister { node: "a" service_id: "W2" })",
       {"a/w1"},
       {}},
      {"so a new one under the id starts without them",
       R"(register { node { name: "a" } skip_node_update: true
          services { id: "w2" name: "web" } })",
       {"a/w2", "a/w1"},
       {"a/w2"}},
  };
  for (const auto& step : kSteps) {
    Apply(step.change);
    EXPECT_EQ(Healthy("web"), step.healthy) << step.shows;
    EXPECT_EQ(Healthy("web", true), step.passing) << step.shows;
  }
}

TEST_F(CatalogTest, AnIdThatChangesItsServiceLeavesTheOldOne) {
  Apply(R"(register { node { name: "a" address: "10.0.0.1" } services { id: "x" name: "old" } })");
  Apply(R"(register { node { name: "a" address: "10.0.0.1" } services { id: "X" name: "new" } })");
  EXPECT_EQ(Now().FindService("old"), nullptr);
  EXPECT_THAT(Healthy("new"), ElementsAre("a/X"));
  Apply(R"(register { node { name: "a" address: "10.0.0.1" } services { id: "x" name: "NEW" } })");
  EXPECT_THAT(Healthy("new"), ElementsAre("a/x"));
}

TEST_F(CatalogTest, SelectionsHoldEachRecordOnce) {
  Apply(R"(register { node { name: "a" address: "10.0.0.1" }
      services { id: "1" name: "s" port: 1 } services { id: "2" name: "s" port: 2 }
      services { id: "3" name: "s" port: 1 } services { id: "4" name: "s" address: "host.example" }
      services { id: "5" name: "s" address: "fd00::1" } })");
  const ServiceEntry& s = *Now().FindService("s");
  EXPECT_THAT(Names(s, s.all.everyone.Get(Include::kHealthy)),
              ElementsAre("a/1", "a/2", "a/3", "a/4", "a/5"));
  EXPECT_THAT(Names(s, s.all.a.Get(Include::kHealthy)), ElementsAre("a/1")) << "one per address";
  EXPECT_THAT(Names(s, s.all.aaaa.Get(Include::kHealthy)), ElementsAre("a/5"));
  EXPECT_THAT(Names(s, s.all.any.Get(Include::kHealthy)), ElementsAre("a/1", "a/5"));
  EXPECT_THAT(Names(s, s.all.srv.Get(Include::kHealthy)), ElementsAre("a/1", "a/2", "a/4", "a/5"))
      << "one per node, address and port";
  EXPECT_THAT(Names(s, s.all.names.Get(Include::kHealthy)), ElementsAre("a/4"));
}

TEST_F(CatalogTest, ReverseNamesFollowAddresses) {
  const IpAddress ip = *IpAddress::Parse("10.0.0.7");
  const auto owners = [&] {
    std::vector<std::string> names;
    const AddressHolders holders = Now().FindAddress(ip);
    for (const auto& node : holders.nodes) names.push_back("node " + node->name);
    for (const auto& service : holders.services) {
      names.push_back("service " + service->name.str());
    }
    return names;
  };
  Apply(R"(register { node { name: "b" address: "10.0.0.7" } })");
  Apply(R"(register { node { name: "A" address: "10.0.0.7" } })");
  Apply(R"(register { node { name: "c" address: "10.0.0.8" }
                      services { name: "web" address: "10.0.0.7" } })");
  EXPECT_THAT(owners(), ElementsAre("node A", "node b", "service web"));
  Apply(R"(register { node { name: "b" address: "10.0.0.9" } })");
  Apply(R"(deregister { node: "c" service_id: "web" })");
  EXPECT_THAT(owners(), ElementsAre("node A"));
  Apply(R"(deregister { node: "a" })");
  EXPECT_THAT(owners(), IsEmpty());
}

TEST_F(CatalogTest, ABatchThatFailsChangesNothing) {
  Apply(kAlpha);
  const uint64_t before = Now().index();
  const absl::Status status = TryApply(R"(batch {
      commands { register { node { name: "beta" address: "10.0.0.2" } services { name: "new" } } }
      commands { deregister { node: "alpha" } }
      commands { register { node { name: "beta" address: "10.0.0.2" }
                            checks { id: "c" service_id: "nosuch" } } } })");
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(),
            "check \"c\" is of service \"nosuch\", which node \"beta\" does not have");
  EXPECT_EQ(Now().index(), before);
  EXPECT_NE(Now().FindNode("alpha"), nullptr);
  EXPECT_EQ(Now().FindNode("beta"), nullptr);
  EXPECT_EQ(Now().FindService("new"), nullptr);
  EXPECT_THAT(Healthy("web"), ElementsAre("Alpha/web"));
}

TEST_F(CatalogTest, TheTimeOfTheLastChangeOnlyGrows) {
  Apply(R"(time_unix_ms: 1700000000999 register { node { name: "a" address: "10.0.0.1" } })");
  EXPECT_EQ(Now().changed_unix_s(), 1'700'000'000);
  Apply(R"(time_unix_ms: 1600000000000 register { node { name: "b" address: "10.0.0.1" } })");
  EXPECT_EQ(Now().changed_unix_s(), 1'700'000'000);
}

TEST_F(CatalogTest, TheTimeOfTheLastChangeStandsStillWhileNothingChanges) {
  const std::string register_alpha(kAlpha);
  Apply("time_unix_ms: 1700000000000 " + register_alpha);
  Apply("time_unix_ms: 1700000005000 " + register_alpha);
  Apply("time_unix_ms: 1700000006000 batch { commands { " + register_alpha + " } }");
  Apply(R"(time_unix_ms: 1700000007000 deregister { node: "nobody" })");
  Apply(R"(time_unix_ms: 1700000008000 deregister { node: "alpha" service_id: "nothing" })");
  EXPECT_EQ(Now().changed_unix_s(), 1'700'000'000);
  Apply(R"(time_unix_ms: 1700000009000 deregister { node: "alpha" service_id: "web" })");
  EXPECT_EQ(Now().changed_unix_s(), 1'700'000'009);
}

TEST_F(CatalogTest, KnowsWhatHasNodesBelow) {
  Apply(R"(register { node { name: "A.rack.Hall" address: "10.0.0.1" } })");
  Apply(R"(register { node { name: "b.rack.hall" address: "10.0.0.2" } })");
  EXPECT_TRUE(Now().HasNodeBelow("rack.hall"));
  EXPECT_TRUE(Now().HasNodeBelow("hall"));
  EXPECT_FALSE(Now().HasNodeBelow("a.rack.hall"));
  EXPECT_FALSE(Now().HasNodeBelow("rack"));
  Apply(R"(register { node { name: "a.RACK.hall" address: "10.0.0.9" } })");
  Apply(R"(deregister { node: "a.rack.hall" })");
  EXPECT_TRUE(Now().HasNodeBelow("hall"));
  Apply(R"(deregister { node: "b.rack.hall" })");
  EXPECT_FALSE(Now().HasNodeBelow("rack.hall"));
  EXPECT_FALSE(Now().HasNodeBelow("hall"));
}

TEST_F(CatalogTest, KnowsWhichNetworksHaveAddresses) {
  const auto near = [this](std::string_view network, size_t prefix_bits) {
    return Now().HasAddressNear(*IpAddress::Parse(network), prefix_bits);
  };
  Apply(R"(register { node { name: "a" address: "10.1.2.3" } services { name: "web" } })");
  Apply(R"(register { node { name: "b" address: "10.1.9.9" }
                      services { name: "six" address: "fd00:1:2::3" } })");
  EXPECT_TRUE(near("10.0.0.0", 8));
  EXPECT_TRUE(near("10.1.2.0", 24));
  EXPECT_FALSE(near("10.1.3.0", 24));
  EXPECT_FALSE(near("11.0.0.0", 8));
  EXPECT_TRUE(near("fd00:1::", 32));
  EXPECT_TRUE(near("fd00:1:f000::", 36)) << "counted by fd00:1::/32";
  EXPECT_FALSE(near("fd00:2::", 32));
  Apply(R"(register { node { name: "a" address: "10.1.9.9" } })");
  EXPECT_FALSE(near("10.1.2.0", 24));
  Apply(R"(deregister { node: "b" })");
  EXPECT_TRUE(near("10.1.9.0", 24)) << "node a is still there";
  EXPECT_FALSE(near("fd00::", 16));
  Apply(R"(deregister { node: "a" })");
  EXPECT_FALSE(near("10.0.0.0", 8));
}

TEST_F(CatalogTest, KnowsWhichTagsThereAre) {
  Apply(kAlpha);
  Apply(R"(register { node { name: "beta" address: "10.0.0.2" }
                      services { name: "api" tags: "BLUE" } })");
  EXPECT_TRUE(Now().HasTag("v1"));
  EXPECT_TRUE(Now().HasTag("blue"));
  EXPECT_FALSE(Now().HasTag("green"));
  Apply(R"(register { node { name: "alpha" } skip_node_update: true
                      services { name: "web" port: 80 tags: "green" } })");
  EXPECT_FALSE(Now().HasTag("v1"));
  EXPECT_TRUE(Now().HasTag("green"));
  EXPECT_TRUE(Now().HasTag("blue")) << "the other service has it still";
  Apply(R"(deregister { node: "beta" })");
  EXPECT_FALSE(Now().HasTag("blue"));
}

// Against a model that knows nothing of what a command touches.
TEST_F(CatalogTest, ShowsTheHealthOfEveryInstanceAfterAnyCommand) {
  constexpr int kIds = 12, kSteps = 4000;
  Random random(7);
  struct ModelCheck {
    int service = -1;  // -1: of the node.
    int status = 1;
  };
  std::map<int, int> services;       // Id to port.
  std::map<int, ModelCheck> checks;  // By id.
  Apply(R"(register { node { name: "alpha" address: "10.0.0.1" } })");
  for (int step = 0; step < kSteps; ++step) {
    const int id = static_cast<int>(random.Below(kIds)), other = static_cast<int>(random.Below(4));
    const int status = 1 + static_cast<int>(random.Below(3));
    const std::string node = R"(node { name: "alpha" address: "10.0.0.1" } )";
    switch (random.Below(6)) {
      case 0:
        services[id] = step;
        Apply(absl::StrFormat(R"(register { %s services { name: "web" id: "W%d" port: %d } })",
                              node, id, step));
        break;
      case 1: {
        // Many at once are looked at in another way than few.
        std::string text;
        for (int each = 0; each < kIds; ++each) {
          services[each] = step;
          text += absl::StrFormat(R"(services { name: "web" id: "w%d" port: %d })", each, step);
        }
        Apply(absl::StrCat("register { ", node, text, " }"));
        break;
      }
      case 2:
        if (!services.contains(id)) break;
        // A check may go from one service to another, and from one to the node.
        checks[other] = {id, status};
        Apply(
            absl::StrFormat(R"(register { %s checks { id: "c%d" service_id: "w%d" status: %d } })",
                            node, other, id, status));
        break;
      case 3:
        if (random.Below(10) > 0) break;
        checks[other] = {-1, status};
        Apply(absl::StrFormat(R"(register { %s checks { id: "c%d" status: %d } })", node, other,
                              status));
        break;
      case 4:
        services.erase(id);
        std::erase_if(checks, [id](const auto& check) { return check.second.service == id; });
        Apply(absl::StrFormat(R"(deregister { node: "alpha" service_id: "w%d" })", id));
        break;
      default:
        checks.erase(other);
        Apply(absl::StrFormat(R"(deregister { node: "alpha" check_id: "c%d" })", other));
    }
    std::map<std::string, std::pair<int, int>> want, is;
    for (const auto& [service, port] : services) {
      int worst = 0;
      for (const auto& [check, model] : checks) {
        if (model.service == -1 || model.service == service)
          worst = std::max(worst, model.status - 1);
      }
      want[absl::StrFormat("w%d", service)] = {port, worst};
    }
    if (const ServiceEntry* web = Now().FindService("web")) {
      for (const auto& instance : web->instances) {
        is[LowerCase(instance->service->id)] = {instance->service->port,
                                                static_cast<int>(instance->health)};
      }
    }
    ASSERT_EQ(is, want) << "after step " << step;
    kept_.erase(kept_.begin(), kept_.end() - 1);
  }
}

TEST_F(CatalogTest, BadCommandsAreRefusedInWords) {
  const std::string long_text(600, 'x');
  const struct {
    std::string command;
    const char* want;
  } kRows[] = {
      {R"(register { node { address: "10.0.0.1" } })",
       "node.name is \"\"; expected a text that is not empty"},
      {R"(register { node { name: "a" } })",
       "node.address is \"\"; expected a text that is not empty"},
      {R"(register { node { name: "a" address: "b" } services { port: 1 } })",
       "service.name is \"\""},
      {R"(register { node { name: "a" address: "b" } services { name: "s" port: 65536 } })",
       "service.port is \"65536\"; expected a port from 0 to 65535"},
      {R"(register { node { name: "a" address: "b" } checks { name: "c" } })", "check.id is \"\""},
      {R"(register { node { name: ")" + long_text + R"(" address: "b" } })",
       "expected at most 512 octets"},
      {R"(deregister { })", "node is \"\""},
      {R"(batch { commands { batch { } } })", "a batch holds a batch"},
      {R"()", "the command changes nothing"},
  };
  for (const auto& row : kRows) {
    const absl::Status status = TryApply(row.command);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << row.command;
    EXPECT_THAT(std::string(status.message()), HasSubstr(row.want));
  }
}

}  // namespace
}  // namespace pharos::registry
