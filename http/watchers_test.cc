#include "http/watchers.h"

#include <gtest/gtest.h>

#include <latch>
#include <optional>
#include <string>

#include "base/check.h"
#include "cluster/consensus.h"
#include "http/test_exchange.h"
#include "proto/catalog.pb.h"

namespace pharos::http {
namespace {

// Watchers on a loop, and a catalog that the test changes.
class WatchersTest : public testing::Test {
 protected:
  WatchersTest() : consensus_("dc1", clock_), loop_("http-test") {
    loop_.PostAndWait(
        [this] { watchers_ = std::make_unique<Watchers>(loop_, consensus_, clock_, marks_, 1); });
  }
  ~WatchersTest() override {
    loop_.PostAndWait([this] { watchers_.reset(); });
  }

  uint64_t Register(const std::string& service, int port) {
    catalog::v1::Command command;
    catalog::v1::Register& change = *command.mutable_register_();
    change.mutable_node()->set_name("alpha");
    change.mutable_node()->set_address("10.0.0.1");
    catalog::v1::Service& record = *change.add_services();
    record.set_name(service);
    record.set_port(static_cast<uint32_t>(port));
    const auto index = consensus_.ProposeAndWait(command);
    CHECK(index.ok());
    return *index;
  }

  static Reading PortOf(const std::string& service) {
    return {.topics = {ServiceTopic(service)},
            .index = [service](const registry::Snapshot& s) { return s.ServiceIndex(service); },
            .write =
                [service](const registry::Snapshot& snapshot, JsonWriter& json) {
                  const registry::ServiceEntry* entry = snapshot.FindService(service);
                  json.Int(entry == nullptr ? 0 : entry->instances[0]->service->port);
                  return absl::OkStatus();
                }};
  }

  std::shared_ptr<TestExchange> Ask(const std::string& service, uint64_t index,
                                    absl::Duration wait = absl::Minutes(5)) {
    auto exchange = std::make_shared<TestExchange>();
    exchange->given.path = "/" + service;
    ReadOptions options;
    options.index = index;
    options.wait = wait;
    loop_.PostAndWait([&] { watchers_->Answer(exchange, options, PortOf(service)); });
    return exchange;
  }
  // After everything that was on its way to the loop.
  size_t Answers(const std::shared_ptr<TestExchange>& exchange) {
    size_t count = 0;
    loop_.PostAndWait([&] { count = exchange->responses.size(); });
    return count;
  }
  static std::string Header(const TestExchange& exchange, const std::string& name) {
    for (const auto& [key, value] : exchange.responses.at(0).headers) {
      if (key == name) return value;
    }
    return "";
  }
  WatcherCounters Counters() {
    WatcherCounters counters;
    loop_.PostAndWait([&] { counters = watchers_->counters(); });
    return counters;
  }

  RealClock clock_;
  cluster::Consensus consensus_;
  CacheMarks marks_;
  Loop loop_;
  std::unique_ptr<Watchers> watchers_;
};

TEST_F(WatchersTest, AnswersAtOnceWithoutAnIndexOrWithAnOldOne) {
  const uint64_t index = Register("web", 80);
  for (const uint64_t has : {uint64_t{0}, index - 1}) {
    const auto exchange = Ask("web", has);
    ASSERT_EQ(Answers(exchange), 1U);
    EXPECT_EQ(exchange->responses[0].body->plain(), "80");
    EXPECT_EQ(Header(*exchange, "X-Consul-Index"), std::to_string(index));
    EXPECT_EQ(Header(*exchange, "X-Consul-Knownleader"), "true");
    EXPECT_EQ(Header(*exchange, "X-Consul-Lastcontact"), "0");
  }
}

TEST_F(WatchersTest, WakesThoseWhomAChangeConcernsAndNobodyElse) {
  const uint64_t web = Register("web", 80);
  const uint64_t api = Register("api", 90);
  const auto on_web = Ask("web", web), on_api = Ask("api", api), on_none = Ask("none", api);
  EXPECT_EQ(Counters().waiting, 3U);

  Register("api", 91);
  EXPECT_EQ(Answers(on_api), 1U);
  EXPECT_EQ(on_api->responses[0].body->plain(), "91");
  EXPECT_EQ(Answers(on_web), 0U);

  Register("none", 1);
  EXPECT_EQ(Answers(on_none), 1U) << "a service that appears";
  Register("web", 80);
  EXPECT_EQ(Answers(on_web), 0U) << "registered again as it was";
  EXPECT_EQ(Counters().waiting, 1U);
}

TEST_F(WatchersTest, EncodesOnceWhatManyWaitFor) {
  const uint64_t web = Register("web", 80);
  std::vector<std::shared_ptr<TestExchange>> waiting;
  waiting.reserve(50);
  for (int i = 0; i < 50; ++i) waiting.push_back(Ask("web", web));
  const uint64_t before = Counters().encoded;
  Register("web", 81);
  for (const auto& exchange : waiting) {
    ASSERT_EQ(Answers(exchange), 1U);
    EXPECT_EQ(exchange->responses[0].body, waiting[0]->responses[0].body);
  }
  EXPECT_EQ(Counters().encoded, before + 1);
}

TEST_F(WatchersTest, AnswersUnchangedWhenTheWaitIsOver) {
  const uint64_t web = Register("web", 80);
  std::latch answered(1);
  auto exchange = std::make_shared<TestExchange>();
  exchange->on_response = [&](const Response&) { answered.count_down(); };
  ReadOptions options;
  options.index = web;
  options.wait = absl::Milliseconds(20);
  loop_.PostAndWait([&] { watchers_->Answer(exchange, options, PortOf("web")); });
  answered.wait();
  EXPECT_EQ(Answers(exchange), 1U);
  EXPECT_EQ(Header(*exchange, "X-Consul-Index"), std::to_string(web));
  EXPECT_EQ(Counters().timed_out, 1U);
}

TEST_F(WatchersTest, ForgetsWhoLeaves) {
  const uint64_t web = Register("web", 80);
  const auto exchange = Ask("web", web);
  loop_.PostAndWait([&] { exchange->Leave(); });
  EXPECT_EQ(Counters().waiting, 0U);
  Register("web", 81);
  EXPECT_EQ(Answers(exchange), 0U);
}

TEST_F(WatchersTest, CountsASecondCachedQuestionAsAHit) {
  Register("web", 80);
  std::vector<std::string> said;
  for (int i = 0; i < 2; ++i) {
    auto exchange = std::make_shared<TestExchange>();
    exchange->given.path = "/web";
    ReadOptions options;
    options.cached = true;
    loop_.PostAndWait([&] { watchers_->Answer(exchange, options, PortOf("web")); });
    said.push_back(Header(*exchange, "X-Cache") + Header(*exchange, "Age"));
  }
  EXPECT_EQ(said, (std::vector<std::string>{"MISS", "HIT0"}));
}

}  // namespace
}  // namespace pharos::http
