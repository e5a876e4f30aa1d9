#include "agent/local/local_agent.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <latch>
#include <string>
#include <vector>

#include "agent/local/body.h"
#include "base/check.h"
#include "cluster/consensus.h"

namespace pharos::agent {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// An agent with a data directory, and the catalog that it keeps in step.
class LocalAgentTest : public testing::Test {
 protected:
  LocalAgentTest()
      : folder_(std::filesystem::temp_directory_path() /
                ("pharos-local-" + std::to_string(getpid()))),
        consensus_("dc1", clock_) {
    config_.node_name = "alpha";
    config_.datacenter = "dc1";
    config_.data_dir = folder_.string();
    config_.advertise_addr = *IpAddress::Parse("10.0.0.5");
    Start();
  }
  ~LocalAgentTest() override {
    agent_.reset();
    std::filesystem::remove_all(folder_);
  }

  void Start() {
    agent_.reset();
    auto started = LocalAgent::Start(config_, "id-1", consensus_, clock_);
    CHECK(started.ok());
    agent_ = *std::move(started);
  }

  // Runs `work` on the agent's thread and waits for what it calls when it is done.
  absl::Status Do(const std::function<void(LocalAgent&, LocalAgent::Done)>& work) {
    std::latch finished(1);
    absl::Status result;
    agent_->loop().Post([&] {
      work(*agent_, [&](const absl::Status& status) {
        result = status;
        finished.count_down();
      });
    });
    finished.wait();
    return result;
  }
  absl::Status RegisterService(const std::string& body, bool replace = false) {
    auto service = ParseServiceBody(body, false);
    CHECK(service.ok());
    return Do([&](LocalAgent& agent, LocalAgent::Done done) {
      agent.RegisterService(*service, body, replace, std::move(done));
    });
  }
  absl::Status Tell(const std::string& check, registry::Health status) {
    return Do([&](LocalAgent& agent, LocalAgent::Done done) {
      agent.UpdateTtl(check, status, "told", std::move(done));
    });
  }
  absl::Status Maintain(const std::string& service, bool enable) {
    return Do([&](LocalAgent& agent, LocalAgent::Done done) {
      agent.SetMaintenance(service, enable, "", std::move(done));
    });
  }

  // What the catalog says, as `id` of services and `id=status` of checks but serfHealth.
  std::vector<std::string> Services() {
    std::vector<std::string> ids;
    const Published<registry::Snapshot>::ReadGuard snapshot(consensus_.published());
    for (const auto& service : snapshot->FindNode("alpha")->services) ids.emplace_back(service->id);
    return ids;
  }
  std::vector<std::string> Checks() {
    static constexpr const char* kWords[] = {"passing", "warning", "critical"};
    std::vector<std::string> checks;
    const Published<registry::Snapshot>::ReadGuard snapshot(consensus_.published());
    for (const auto& check : snapshot->FindNode("alpha")->checks) {
      if (check->id == "serfHealth") continue;
      checks.push_back(check->id + "=" + kWords[static_cast<size_t>(check->status)]);
    }
    return checks;
  }

  std::filesystem::path folder_;
  RealClock clock_;
  cluster::Consensus consensus_;
  Config config_;
  std::unique_ptr<LocalAgent> agent_;
};

TEST_F(LocalAgentTest, PutsWhatIsRegisteredIntoTheCatalogBeforeItAnswers) {
  ASSERT_TRUE(RegisterService(R"({"Name":"web","Check":{"TTL":"1h"}})").ok());
  EXPECT_THAT(Services(), ElementsAre("web"));
  EXPECT_THAT(Checks(), ElementsAre("service:web=critical"));
  ASSERT_TRUE(Tell("service:web", registry::Health::kPassing).ok());
  EXPECT_THAT(Checks(), ElementsAre("service:web=passing"));
  EXPECT_TRUE(absl::IsNotFound(Tell("nope", registry::Health::kPassing)));

  ASSERT_TRUE(Do([](LocalAgent& agent, LocalAgent::Done done) {
                agent.DeregisterService("web", std::move(done));
              }).ok());
  EXPECT_THAT(Services(), IsEmpty());
  EXPECT_THAT(Checks(), IsEmpty());
}

TEST_F(LocalAgentTest, KeepsRegistrationsAndTtlStateOverARestart) {
  ASSERT_TRUE(RegisterService(R"({"Name":"web","Check":{"TTL":"1h"}})").ok());
  ASSERT_TRUE(Tell("service:web", registry::Health::kWarning).ok());
  ASSERT_TRUE(Maintain("web", true).ok());
  Start();
  EXPECT_THAT(Services(), ElementsAre("web"));
  EXPECT_THAT(Checks(), ElementsAre("_service_maintenance:web=critical", "service:web=warning"));

  ASSERT_TRUE(Maintain("web", false).ok());
  Start();
  EXPECT_THAT(Checks(), ElementsAre("service:web=warning"));
}

TEST_F(LocalAgentTest, RegisteringAgainKeepsTheStateOfItsChecks) {
  ASSERT_TRUE(RegisterService(R"({"Name":"web","Check":{"TTL":"1h"}})").ok());
  ASSERT_TRUE(Tell("service:web", registry::Health::kPassing).ok());
  ASSERT_TRUE(RegisterService(R"({"Name":"web","Port":81,"Check":{"TTL":"1h"}})").ok());
  EXPECT_THAT(Checks(), ElementsAre("service:web=passing"));
}

TEST_F(LocalAgentTest, ReplacesChecksOnlyWhenAsked) {
  ASSERT_TRUE(RegisterService(R"({"Name":"web","Checks":[{"CheckID":"a","TTL":"1h"},)"
                              R"({"CheckID":"b","TTL":"1h"}]})")
                  .ok());
  const std::string only_a = R"({"Name":"web","Checks":[{"CheckID":"a","TTL":"1h"}]})";
  ASSERT_TRUE(RegisterService(only_a).ok());
  EXPECT_THAT(Checks(), ElementsAre("a=critical", "b=critical"));
  ASSERT_TRUE(RegisterService(only_a, true).ok());
  EXPECT_THAT(Checks(), ElementsAre("a=critical"));
}

TEST_F(LocalAgentTest, AReloadTakesAndGivesOnlyWhatIsOfTheFiles) {
  ASSERT_TRUE(RegisterService(R"({"Name":"by-request"})").ok());
  ServiceDefinition service;
  service.id = service.name = "by-file";
  config_.services = {service};
  ASSERT_TRUE(agent_->Reload(config_).ok());
  EXPECT_THAT(Services(), ElementsAre("by-file", "by-request"));
  config_.services.clear();
  ASSERT_TRUE(agent_->Reload(config_).ok());
  EXPECT_THAT(Services(), ElementsAre("by-request"));
}

TEST_F(LocalAgentTest, AReloadUndoesWhatOthersDidToTheNode) {
  ASSERT_TRUE(RegisterService(R"({"Name":"web"})").ok());
  catalog::v1::Command foreign;
  foreign.mutable_deregister()->set_node("alpha");
  ASSERT_TRUE(consensus_.ProposeAndWait(foreign).ok());
  ASSERT_TRUE(agent_->Reload(config_).ok());
  EXPECT_THAT(Services(), ElementsAre("web"));
}

TEST_F(LocalAgentTest, TakesTagsOfTheCatalogWhereTheyMayBeOverridden) {
  ASSERT_TRUE(RegisterService(R"({"Name":"web","Tags":["a"],"EnableTagOverride":true})").ok());
  catalog::v1::Command foreign;
  catalog::v1::Register& change = *foreign.mutable_register_();
  change.mutable_node()->set_name("alpha");
  change.set_skip_node_update(true);
  catalog::v1::Service& web = *change.add_services();
  web.set_name("web");
  web.add_tags("b");
  web.set_enable_tag_override(true);
  ASSERT_TRUE(consensus_.ProposeAndWait(foreign).ok());
  ASSERT_TRUE(agent_->Reload(config_).ok());
  const Published<registry::Snapshot>::ReadGuard snapshot(consensus_.published());
  EXPECT_THAT(snapshot->FindNode("alpha")->services.at(0)->tags.get(), ElementsAre("b"));
}

TEST_F(LocalAgentTest, AliasesFollowWhatTheyStandFor) {
  ASSERT_TRUE(RegisterService(R"({"Name":"db","Check":{"TTL":"1h","Status":"passing"}})").ok());
  ASSERT_TRUE(RegisterService(R"({"Name":"web","Check":{"AliasService":"db"}})").ok());
  std::latch failed(1);
  bool seen = false;
  const int subscription = consensus_.Subscribe([&](const registry::Changes&) {
    const auto checks = Checks();
    if (!seen &&
        checks == std::vector<std::string>{"service:db=critical", "service:web=critical"}) {
      seen = true;
      failed.count_down();
    }
  });
  const auto tell = [&](registry::Health health) { ASSERT_TRUE(Tell("service:db", health).ok()); };
  tell(registry::Health::kPassing);
  tell(registry::Health::kCritical);
  failed.wait();
  consensus_.Unsubscribe(subscription);
}

TEST_F(LocalAgentTest, HoldsOutputAloneBackForAsLongAsItIsTold) {
  const auto output = [this] {
    // A turn of its own for a timer that is due, and one command behind whatever that proposed.
    for (int turn = 0; turn < 3; ++turn) agent_->loop().PostAndWait([] {});
    catalog::v1::Command other;
    other.mutable_register_()->mutable_node()->set_name("other");
    other.mutable_register_()->mutable_node()->set_address("10.0.0.9");
    CHECK(consensus_.ProposeAndWait(other).ok());
    const Published<registry::Snapshot>::ReadGuard snapshot(consensus_.published());
    for (const auto& check : snapshot->FindNode("alpha")->checks) {
      if (check->id == "service:web") return check->output.get();
    }
    return std::string("none");
  };
  config_.checks_config.update_interval = absl::Hours(1);
  Start();
  ASSERT_TRUE(RegisterService(R"({"Name":"web","Check":{"TTL":"1h","Status":"passing"}})").ok());
  ASSERT_TRUE(Tell("service:web", registry::Health::kPassing).ok());
  EXPECT_EQ(output(), "");
  config_.checks_config.update_interval = absl::ZeroDuration();
  Start();
  ASSERT_TRUE(RegisterService(R"({"Name":"web","Check":{"TTL":"1h"}})").ok());
  ASSERT_TRUE(Tell("service:web", registry::Health::kWarning).ok());
  ASSERT_TRUE(Do([](LocalAgent& agent, LocalAgent::Done done) {
                agent.UpdateTtl("service:web", registry::Health::kWarning, "more", std::move(done));
              }).ok());
  EXPECT_EQ(output(), "more");
}

TEST_F(LocalAgentTest, TellsWhoWaitsForAService) {
  ASSERT_TRUE(RegisterService(R"({"Name":"web"})").ok());
  std::latch told(1);
  agent_->loop().PostAndWait(
      [&] { agent_->WaitForService("web", absl::Hours(1), [&] { told.count_down(); }); });
  ASSERT_TRUE(RegisterService(R"({"Name":"other"})").ok());
  EXPECT_FALSE(told.try_wait());
  ASSERT_TRUE(RegisterService(R"({"Name":"web","Port":81})").ok());
  told.wait();
}

TEST_F(LocalAgentTest, KnowsItsServices) {
  EXPECT_TRUE(absl::IsNotFound(Maintain("nope", true)));
  EXPECT_TRUE(absl::IsNotFound(Do([](LocalAgent& agent, LocalAgent::Done done) {
    agent.DeregisterService("nope", std::move(done));
  })));
  const auto check = ParseCheckBody(R"({"Name":"c","TTL":"1h","ServiceID":"nope"})", false);
  EXPECT_TRUE(absl::IsNotFound(Do([&](LocalAgent& agent, LocalAgent::Done done) {
    agent.RegisterCheck(*check, "", std::move(done));
  })));
}

}  // namespace
}  // namespace pharos::agent
