#include "dns/worker.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "registry/catalog.h"

namespace pharos::dns {
namespace {

// Answers nobody until told.
class SlowResolver : public Resolver {
 public:
  SlowResolver() { answer.rcode = Rcode::kNxDomain; }
  bool has_upstreams() const override { return true; }
  void Resolve(const UpstreamQuestion& /*question*/, absl::Time /*now*/, Done done) override {
    if (at_once) return done(answer);
    waiting.push_back(std::move(done));
  }
  void Close(std::function<void()> closed) override { closed(); }
  void AnswerAll() {
    for (const Done& done : std::exchange(waiting, {})) done(answer);
  }

  bool at_once = false;
  UpstreamAnswer answer;  // NXDOMAIN.
  std::vector<Done> waiting;
};

struct Sent {
  SocketAddress client;
  Rcode rcode;
};

class SentReplies : public Listener {
 public:
  void Send(const ReplyPath& path, Octets message) override {
    sent.push_back({path.client, static_cast<Rcode>(LoadU16(&message[2]) & 0x0f)});
  }
  std::vector<Sent> sent;
};

std::vector<uint8_t> MakeQuery(std::string_view name) {
  std::vector<uint8_t> message = {0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0};
  const Name qname = *Name::FromText(name);
  message.insert(message.end(), qname.wire().begin(), qname.wire().end());
  message.insert(message.end(), {0, 1, 0, 1});
  return message;
}

std::unique_ptr<const registry::Snapshot> MakeSnapshot() {
  registry::Catalog catalog("dc1");
  catalog::v1::Command command;
  command.mutable_register_()->mutable_node()->set_name("node-1");
  command.mutable_register_()->mutable_node()->set_address("10.0.0.1");
  CHECK(catalog.Apply(1, command).ok());
  return catalog.MakeSnapshot();
}

// What an observer is told, kept.
struct Told {
  size_t queries = 0;
  std::vector<std::pair<AnswerSource, size_t>> answers;  // With the length of the reply.
};

class Recorder : public QueryObserver {
 public:
  explicit Recorder(Told& told) : told_(told) {}
  void OnQuery(const ReplyPath& /*path*/, Octets /*message*/, absl::Time /*now*/) override {
    ++told_.queries;
  }
  void OnAnswered(const AnsweredQuery& answered) override {
    told_.answers.emplace_back(answered.source, answered.reply.size());
  }

 private:
  Told& told_;
};

class WorkerTest : public testing::Test {
 protected:
  WorkerTest() {
    AnswerConfig config;
    config.zones.push_back(*Zone::Make("consul.", "dc1"));
    config.datacenter = "dc1";
    config.recursion_available = true;
    auto resolver = std::make_unique<SlowResolver>();
    resolver_ = resolver.get();
    worker_ = std::make_unique<Worker>(catalog_, std::move(resolver), clock_,
                                       std::make_shared<const AnswerConfig>(config), 1);
  }

  // The reply if there is one at once.
  Octets Ask(std::string_view name, std::string_view client = "192.0.2.1",
             Transport transport = Transport::kUdp) {
    ReplyPath path;
    path.listener = &listener_;
    path.transport = transport;
    path.client = {*IpAddress::Parse(client), ++port_};
    worker_->BeginBatch();
    const size_t octets = worker_->Handle(MakeQuery(name), path, reply_).value_or(0);
    worker_->EndBatch();
    return Octets(reply_).first(octets);
  }
  static Rcode RcodeOf(Octets reply) { return static_cast<Rcode>(LoadU16(&reply[2]) & 0x0f); }

  ManualClock clock_;
  Published<registry::Snapshot> catalog_{MakeSnapshot()};
  SentReplies listener_;
  SlowResolver* resolver_;
  std::unique_ptr<Worker> worker_;
  uint16_t port_ = 0;
  std::vector<uint8_t> reply_ = std::vector<uint8_t>(kMessageOctetsMax);
};

TEST_F(WorkerTest, AClientWithTooManyAnswersUnderWayGetsServFailAtOnce) {
  worker_->SetOptions({.rate_limit = {}, .forwards_per_client_max = 2});
  EXPECT_TRUE(Ask("a.example.").empty());
  EXPECT_TRUE(Ask("b.example.").empty());
  const Octets refused = Ask("c.example.");
  ASSERT_FALSE(refused.empty());
  EXPECT_EQ(RcodeOf(refused), Rcode::kServFail);
  EXPECT_EQ(worker_->counters().refused_at_client_bound.value(), 1u);

  EXPECT_TRUE(Ask("c.example.", "192.0.2.2").empty()) << "another client is not its neighbour";
  EXPECT_FALSE(Ask("nosuch.service.consul.").empty()) << "names of ours wait for nobody";

  resolver_->AnswerAll();
  ASSERT_EQ(listener_.sent.size(), 3u);
  EXPECT_TRUE(Ask("d.example.").empty()) << "its answers have come, so it may ask again";
}

TEST_F(WorkerTest, AnswersThatAreThereAtOnceDoNotCount) {
  worker_->SetOptions({.rate_limit = {}, .forwards_per_client_max = 1});
  resolver_->at_once = true;
  for (int i = 0; i < 10; ++i) EXPECT_EQ(RcodeOf(Ask("a.example.")), Rcode::kNxDomain);
}

TEST_F(WorkerTest, WhatWasJustAnsweredIsAnsweredTheSameWithinTheSecond) {
  resolver_->at_once = true;
  resolver_->answer.rcode = Rcode::kNxDomain;
  EXPECT_EQ(RcodeOf(Ask("a.example.")), Rcode::kNxDomain);
  resolver_->answer.rcode = Rcode::kRefused;
  const Octets again = Ask("A.Example.");
  EXPECT_EQ(RcodeOf(again), Rcode::kNxDomain);
  EXPECT_EQ(AsText(again.subspan(kHeaderOctets + 1, 1)), "A") << "as this client spells it";
  EXPECT_EQ(worker_->counters().given_again.value(), 1u);
  EXPECT_EQ(worker_->counters().forwarded.value(), 2u);
  EXPECT_EQ(RcodeOf(Ask("b.example.")), Rcode::kRefused) << "another name";
  EXPECT_EQ(RcodeOf(Ask("a.example.", "192.0.2.1", Transport::kTcp)), Rcode::kRefused);

  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(RcodeOf(Ask("a.example.")), Rcode::kRefused) << "a second later it is asked for again";
  resolver_->answer.rcode = Rcode::kNxDomain;
  worker_->ForgetReplies();
  EXPECT_EQ(RcodeOf(Ask("a.example.")), Rcode::kNxDomain);
}

TEST_F(WorkerTest, WhoMayNotRecurseIsGivenNothingAgain) {
  AnswerConfig config;
  config.zones.push_back(*Zone::Make("consul.", "dc1"));
  config.recursion_available = true;
  config.may_recurse = {*Cidr::Parse("192.0.2.0/24")};
  worker_->SetConfig(std::make_shared<const AnswerConfig>(config));
  resolver_->at_once = true;
  EXPECT_EQ(RcodeOf(Ask("a.example.")), Rcode::kNxDomain);
  EXPECT_EQ(RcodeOf(Ask("a.example.", "198.51.100.1")), Rcode::kRefused);
}

TEST_F(WorkerTest, WhenAllPlacesAreTakenTheOldestGetsServFail) {
  worker_->SetOptions({.rate_limit = {}, .forwards_per_client_max = 1'000'000});
  for (size_t i = 0; i < Worker::kWaitingMax; ++i) ASSERT_TRUE(Ask("a.example.").empty());
  EXPECT_TRUE(listener_.sent.empty());
  EXPECT_TRUE(Ask("b.example.").empty()) << "the newest waits";
  ASSERT_EQ(listener_.sent.size(), 1u);
  EXPECT_EQ(listener_.sent[0].client.port, 1) << "the first that asked";
  EXPECT_EQ(listener_.sent[0].rcode, Rcode::kServFail);
  EXPECT_EQ(worker_->counters().shed.value(), 1u);

  resolver_->AnswerAll();
  EXPECT_EQ(listener_.sent.size(), 1 + Worker::kWaitingMax) << "each has one answer, and only one";
  EXPECT_EQ(listener_.sent.back().rcode, Rcode::kNxDomain);
}

// Shedding frees places, not what the resolver has to do; that has a bound, too.
TEST_F(WorkerTest, TooManyQuestionsUnderWayAreRefusedAtOnce) {
  worker_->SetOptions({.rate_limit = {}, .forwards_per_client_max = 1'000'000});
  for (size_t i = 0; i < Worker::kQuestionsMax; ++i) ASSERT_TRUE(Ask("a.example.").empty());
  EXPECT_EQ(RcodeOf(Ask("a.example.")), Rcode::kServFail);
  EXPECT_EQ(worker_->counters().refused_at_bound.value(), 1u);
}

TEST_F(WorkerTest, LimitsRepliesByUdpAndNeverByTcp) {
  worker_->SetOptions({.rate_limit = {.nxdomains_per_second = 2}});
  const auto ask = [this] { return Ask("nosuch.service.consul."); };
  EXPECT_EQ(RcodeOf(ask()), Rcode::kNxDomain);
  EXPECT_EQ(RcodeOf(ask()), Rcode::kNxDomain);
  EXPECT_TRUE(ask().empty());
  const Octets slipped = ask();
  ASSERT_EQ(slipped.size(), kHeaderOctets + Name::FromText("nosuch.service.consul.")->size() + 4)
      << "the question and nothing else";
  EXPECT_EQ(RcodeOf(slipped), Rcode::kNxDomain);
  EXPECT_NE(LoadU16(&slipped[2]) & kFlagTc, 0);
  EXPECT_NE(LoadU16(&slipped[2]) & kFlagAa, 0);
  EXPECT_EQ(LoadU16(&slipped[8]), 0) << "no authority";
  for (int i = 0; i < 10; ++i) {
    EXPECT_FALSE(Ask("nosuch.service.consul.", "192.0.2.1", Transport::kTcp).empty());
  }
  clock_.Advance(absl::Minutes(1));
  EXPECT_EQ(LoadU16(&ask()[8]), 1);
}

TEST_F(WorkerTest, LimitsAnswersOfTheRecursorsWhenTheyCome) {
  worker_->SetOptions({.rate_limit = {.nxdomains_per_second = 2, .slip = 0}});
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(Ask("a.example.").empty());
  resolver_->AnswerAll();
  EXPECT_EQ(listener_.sent.size(), 2u);
  EXPECT_EQ(worker_->rate_limiter()->counters().dropped.value(), 3u);
}

TEST_F(WorkerTest, ARateLimitThatStaysTheSameRemembers) {
  const WorkerOptions options{.rate_limit = {.nxdomains_per_second = 1, .slip = 0}};
  worker_->SetOptions(options);
  EXPECT_FALSE(Ask("nosuch.service.consul.").empty());
  worker_->SetOptions(options);
  EXPECT_TRUE(Ask("nosuch.service.consul.").empty());
  worker_->SetOptions({.rate_limit = {.nxdomains_per_second = 2, .slip = 0}});
  EXPECT_FALSE(Ask("nosuch.service.consul.").empty());
  worker_->SetOptions({});
  EXPECT_EQ(worker_->rate_limiter(), nullptr);
  EXPECT_FALSE(Ask("nosuch.service.consul.").empty());
}

TEST_F(WorkerTest, TellsObserversWhereEachAnswerCameFrom) {
  Told told;
  std::vector<std::unique_ptr<QueryObserver>> observers;
  observers.push_back(std::make_unique<Recorder>(told));
  worker_->SetOptions(
      {.rate_limit = {.errors_per_second = 1, .slip = 0}, .forwards_per_client_max = 1});
  worker_->SetObservers(std::move(observers));
  const size_t zone = Ask("nosuch.service.consul.").size();
  EXPECT_TRUE(Ask("a.example.").empty());
  const size_t bound = Ask("b.example.").size();
  EXPECT_TRUE(Ask("b.example.").empty()) << "a second error in this second";
  resolver_->AnswerAll();
  resolver_->at_once = true;
  const size_t cache = Ask("a.example.").size();
  EXPECT_EQ(told.queries, 5u);
  const std::vector<std::pair<AnswerSource, size_t>> want = {{AnswerSource::kZone, zone},
                                                             {AnswerSource::kBound, bound},
                                                             {AnswerSource::kRateLimit, 0},
                                                             {AnswerSource::kUpstream, cache},
                                                             {AnswerSource::kCache, cache}};
  EXPECT_EQ(told.answers, want);
  worker_->SetObservers({});
  Ask("a.example.");
  EXPECT_EQ(told.queries, 5u);
}

}  // namespace
}  // namespace pharos::dns
