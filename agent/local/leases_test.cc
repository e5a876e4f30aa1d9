#include "agent/local/leases.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <latch>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/local/body.h"
#include "base/check.h"
#include "base/clock.h"
#include "cluster/consensus.h"

namespace pharos::agent {
namespace {

using discovery::v1::HoldOpen;
using discovery::v1::HoldRequest;
using discovery::v1::InstanceSpec;
using rpc::Registrar;
using testing::ElementsAre;
using testing::IsEmpty;

InstanceSpec Spec(const std::string& id, uint32_t port = 80) {
  InstanceSpec spec;
  spec.set_service("web");
  spec.set_id(id);
  spec.set_port(port);
  return spec;
}

// An agent with a data directory, and the catalog that its leases show in.
class LeasesTest : public testing::Test {
 protected:
  LeasesTest()
      : folder_(std::filesystem::temp_directory_path() /
                ("pharos-leases-" + std::to_string(getpid()))),
        consensus_("dc1", clock_) {
    config_.node_name = "alpha";
    config_.data_dir = folder_.string();
    config_.advertise_addr = *IpAddress::Parse("10.0.0.5");
    Start();
  }
  ~LeasesTest() override {
    agent_.reset();
    std::filesystem::remove_all(folder_);
  }

  void Start() {
    agent_.reset();
    auto started = LocalAgent::Start(config_, "id-1", consensus_, clock_);
    CHECK(started.ok());
    agent_ = *std::move(started);
  }

  template <typename T>
  absl::StatusOr<T> Do(
      const std::function<void(Leases&, std::function<void(const absl::StatusOr<T>&)>)>& work) {
    std::latch finished(1);
    absl::StatusOr<T> result;
    agent_->loop().Post([&] {
      work(agent_->leases(), [&](const absl::StatusOr<T>& outcome) {
        result = outcome;
        finished.count_down();
      });
    });
    finished.wait();
    return result;
  }

  absl::StatusOr<Registrar::Opened> Open(const std::vector<InstanceSpec>& instances,
                                         const std::string& lease_id = "", uint32_t grace_ms = 0,
                                         uint32_t ttl_ms = 60'000) {
    HoldOpen open;
    open.set_lease_id(lease_id);
    open.set_grace_ms(grace_ms);
    open.set_ttl_ms(ttl_ms);
    for (const InstanceSpec& instance : instances) *open.add_instances() = instance;
    return Do<Registrar::Opened>([&](Leases& leases, Registrar::OpenDone done) {
      leases.Open(
          open, [this](const absl::Status& why) { taken_ = why; }, std::move(done));
    });
  }
  absl::StatusOr<uint64_t> Register(Registrar::Session session, const InstanceSpec& instance) {
    HoldRequest request;
    *request.mutable_register_()->mutable_instance() = instance;
    return Change(session, request);
  }
  absl::StatusOr<uint64_t> Report(Registrar::Session session, const std::string& id,
                                  discovery::v1::Health health) {
    HoldRequest request;
    request.mutable_health()->set_id(id);
    request.mutable_health()->set_health(health);
    return Change(session, request);
  }
  absl::StatusOr<uint64_t> Change(Registrar::Session session, const HoldRequest& request) {
    return Do<uint64_t>([&](Leases& leases, Registrar::Done done) {
      leases.Change(session, request, std::move(done));
    });
  }
  void Lose(Registrar::Session session) {
    agent_->loop().PostAndWait([&] { agent_->leases().Lost(session); });
    Settle();
  }
  // Waits until the catalog has what was changed so far.
  void Settle() { consensus_.ProposeAndWait(Nothing()).IgnoreError(); }
  static catalog::v1::Command Nothing() {
    catalog::v1::Command command;
    command.mutable_deregister()->set_node("nobody");
    return command;
  }

  // `ID:PORT=STATUS` of the instances of `web`.
  std::vector<std::string> Found() {
    static constexpr const char* kWords[] = {"passing", "warning", "critical"};
    std::vector<std::string> found;
    const Published<registry::Snapshot>::ReadGuard snapshot(consensus_.published());
    const registry::ServiceEntry* web = snapshot->FindService("web");
    if (web == nullptr) return found;
    for (const auto& instance : web->instances) {
      found.push_back(instance->service->id.str() + ":" + std::to_string(instance->service->port) +
                      "=" + kWords[static_cast<size_t>(instance->health)]);
    }
    return found;
  }
  LeaseCounts Counts() {
    LeaseCounts counts;
    agent_->loop().PostAndWait([&] { counts = agent_->leases().counts(); });
    return counts;
  }

  std::filesystem::path folder_;
  RealClock clock_;
  cluster::Consensus consensus_;
  Config config_;
  absl::Status taken_;
  std::unique_ptr<LocalAgent> agent_;
};

TEST_F(LeasesTest, HoldsInstancesWhileTheStreamLasts) {
  const auto opened = Open({Spec("a"), Spec("b", 81)});
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_THAT(Found(), ElementsAre("a:80=passing", "b:81=passing"));
  EXPECT_TRUE(Register(opened->session, Spec("c", 82)).ok());
  EXPECT_TRUE(Report(opened->session, "b", discovery::v1::HEALTH_CRITICAL).ok());
  EXPECT_TRUE(Register(opened->session, Spec("b", 91)).ok());
  EXPECT_THAT(Found(), ElementsAre("a:80=passing", "b:91=critical", "c:82=passing"))
      << "registering again is no news of health";
  EXPECT_TRUE(
      absl::IsNotFound(Report(opened->session, "z", discovery::v1::HEALTH_CRITICAL).status()));
  Lose(opened->session);
  EXPECT_THAT(Found(), IsEmpty());
  EXPECT_EQ(Counts().leases, 0U);
  EXPECT_EQ(Counts().expired, 1U);
  EXPECT_TRUE(absl::IsAborted(Register(opened->session, Spec("d")).status()));
}

TEST_F(LeasesTest, GivesAllUpAtARelease) {
  const auto opened = Open({Spec("a")}, "", 60'000);
  const auto released = Do<uint64_t>([&](Leases& leases, Registrar::Done done) {
    leases.Release(opened->session, std::move(done));
  });
  EXPECT_TRUE(released.ok());
  EXPECT_THAT(Found(), IsEmpty());
}

TEST_F(LeasesTest, ResumesALeaseWithWhatIsNamedAgain) {
  const auto first = Open({Spec("a"), Spec("b")}, "", 60'000);
  Report(first->session, "a", discovery::v1::HEALTH_WARNING).IgnoreError();
  Lose(first->session);
  EXPECT_THAT(Found(), ElementsAre("a:80=warning", "b:80=passing"));
  EXPECT_EQ(Counts().orphans, 1U);
  const auto second = Open({Spec("a"), Spec("c")}, first->response.lease_id(), 60'000);
  EXPECT_TRUE(second->response.resumed());
  EXPECT_THAT(Found(), ElementsAre("a:80=warning", "c:80=passing"));
  Lose(first->session);
  EXPECT_EQ(Counts().orphans, 0U) << "the first stream has nothing to lose any more";

  // A third stream, while the second seems to be there.
  const auto third = Open({Spec("a")}, first->response.lease_id());
  EXPECT_TRUE(third->response.resumed());
  EXPECT_TRUE(absl::IsAborted(taken_));
  EXPECT_TRUE(absl::IsAborted(Register(second->session, Spec("d")).status()));
}

TEST_F(LeasesTest, LetsNobodyTakeWhatIsHeld) {
  const auto one = Open({Spec("a"), Spec("b")}, "", 60'000);
  EXPECT_TRUE(absl::IsAlreadyExists(Open({Spec("c"), Spec("A")}).status()));
  EXPECT_THAT(Found(), ElementsAre("a:80=passing", "b:80=passing")) << "all or nothing";
  const auto two = Open({Spec("c")});
  EXPECT_TRUE(absl::IsAlreadyExists(Register(two->session, Spec("a")).status()));
  Lose(one->session);
  EXPECT_TRUE(Register(two->session, Spec("a", 99)).ok()) << "its holder is away";
  EXPECT_THAT(Found(), ElementsAre("a:99=passing", "b:80=passing", "c:80=passing"));
  const auto back = Open({Spec("b")}, one->response.lease_id());
  EXPECT_TRUE(back->response.resumed());
  EXPECT_THAT(Found(), ElementsAre("a:99=passing", "b:80=passing", "c:80=passing"));
}

TEST_F(LeasesTest, GivesWayToWhatIsRegisteredByHttp) {
  const auto opened = Open({Spec("a"), Spec("b")});
  const auto service = ParseServiceBody(R"({"Name":"web","ID":"a","Port":8})", false);
  agent_->loop().PostAndWait([&] {
    agent_->RegisterService(*service, R"({"Name":"web","ID":"a","Port":8})", false,
                            [](const absl::Status&) {});
    agent_->DeregisterService("b", [](const absl::Status&) {});
  });
  Settle();
  EXPECT_TRUE(
      absl::IsNotFound(Report(opened->session, "a", discovery::v1::HEALTH_CRITICAL).status()));
  Lose(opened->session);
  EXPECT_THAT(Found(), ElementsAre("a:8=passing")) << "what is not held any more stays";
  EXPECT_TRUE(absl::IsAlreadyExists(Open({Spec("a")}).status()));
}

TEST_F(LeasesTest, KeepsLeasesOverARestartForTheirTtl) {
  const auto kept = Open({Spec("a")});
  const auto brief = Open({Spec("b")}, "", 0, 1000);
  EXPECT_TRUE(kept.ok() && brief.ok());
  Start();
  EXPECT_THAT(Found(), ElementsAre("a:80=passing", "b:80=passing"));
  EXPECT_EQ(Counts().orphans, 2U);
  const auto back = Open({Spec("a")}, kept->response.lease_id());
  EXPECT_TRUE(back->response.resumed());
  const absl::Time deadline = clock_.Now() + absl::Seconds(10);
  while (Counts().leases > 1 && clock_.Now() < deadline) Settle();
  Settle();
  EXPECT_THAT(Found(), ElementsAre("a:80=passing"));
  Start();
  EXPECT_EQ(Counts().leases, 1U) << "what has ended is not kept";
}

TEST_F(LeasesTest, SurvivesAReloadOfTheAgent) {
  const auto opened = Open({Spec("a")});
  EXPECT_TRUE(agent_->Reload(config_).ok());
  EXPECT_THAT(Found(), ElementsAre("a:80=passing"));
  ServiceDefinition defined;
  defined.id = "a";
  defined.name = "web";
  defined.port = 7;
  config_.services = {defined};
  EXPECT_TRUE(agent_->Reload(config_).ok());
  EXPECT_THAT(Found(), ElementsAre("a:7=passing")) << "a file has the last word";
  Lose(opened->session);
  EXPECT_THAT(Found(), ElementsAre("a:7=passing"));
}

}  // namespace
}  // namespace pharos::agent
