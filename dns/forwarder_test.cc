#include "dns/forwarder.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_format.h"
#include "base/random.h"
#include "dns/upstream_test_message.h"

namespace pharos::dns {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1'700'000'000);

// What a simulated upstream does with a message.
enum class Does {
  kAnswer,
  kNothing,
  kRefuseConnection,
  kNxDomain,
  kServFail,
  kRefused,
  kTruncate,
  kLowerCase,        // Answers, but does not keep letter case.
  kOtherId,          // A forger's guess, then nothing.
  kForgeThenAnswer,  // One wrong guess arrives before the answer.
  kOtherSource,
  kGarbage,       // Ours, but its records cannot be read.
  kFormErrOnOpt,  // Knows no EDNS.
  kLoseFirst,     // The first datagram of each query is lost.
  kForwardToUs,   // Asks the forwarder itself, in letter case of its own.
};

struct Simulated {
  Does udp = Does::kAnswer;
  Does tcp = Does::kNothing;
  absl::Duration delay = absl::Milliseconds(10);
};

// A forwarder among upstreams, on a clock of its own. Everything that is to happen happens in
// order of time, without waiting.
class Simulation {
 public:
  explicit Simulation(std::vector<Simulated> upstreams, ResolverOptions options = {})
      : upstreams_(std::move(upstreams)), options_(std::move(options)) {
    for (size_t i = 0; i < upstreams_.size(); ++i) options_.upstreams.push_back({AddressOf(i)});
    forwarder_.emplace(options_, [this](MutableOctets target) {
      for (uint8_t& octet : target) octet = static_cast<uint8_t>(random_.Below(256));
    });
  }

  static SocketAddress AddressOf(size_t index) {
    return {IpAddress::V4({192, 0, 2, static_cast<uint8_t>(index + 1)}), 53};
  }

  struct Result {
    std::optional<UpstreamAnswer> answer;
    absl::Time when;
    int calls = 0;
  };

  void Ask(const UpstreamQuestion& question, Result& result) {
    ForwarderOutput out;
    forwarder_->Ask(
        question, now_,
        [this, &result](const UpstreamAnswer& answer) {
          result.answer = answer;
          result.when = now_;
          ++result.calls;
        },
        out);
    Perform(out);
  }

  // Until nothing is under way, or the time has come.
  void Run(absl::Time until = absl::InfiniteFuture()) {
    while (true) {
      const absl::Time deadline = forwarder_->NextDeadline();
      const absl::Time event = events_.empty() ? absl::InfiniteFuture() : events_.begin()->first;
      const absl::Time next = std::min(deadline, event);
      if (next == absl::InfiniteFuture() || next > until) break;
      now_ = std::max(now_, next);
      ForwarderOutput out;
      if (event <= deadline) {
        const std::function<void(ForwarderOutput&)> happen = events_.begin()->second;
        events_.erase(events_.begin());
        happen(out);
      } else {
        forwarder_->OnTime(now_, out);
      }
      Perform(out);
    }
    if (until != absl::InfiniteFuture()) now_ = until;
  }

  // Asks, and runs until the answer is there.
  Result AskAndRun(const UpstreamQuestion& question) {
    Result result;
    Ask(question, result);
    Run();
    EXPECT_EQ(result.calls, 1);
    return result;
  }

  void Perform(ForwarderOutput& out) {
    for (const uint64_t exchange : out.closes) {
      EXPECT_EQ(open_.erase(exchange), 1u) << "closed what is not open";
    }
    for (const ForwarderOutput::Send& send : out.sends) {
      sent_ +=
          absl::StrFormat("%s%d%c", sent_.empty() ? "" : " ", IndexOf(send.upstream.address) + 1,
                          send.upstream.tls                   ? 's'
                          : send.transport == Transport::kUdp ? 'u'
                                                              : 't');
      ReadName(send.message, kHeaderOctets, last_sent_qname_);
      const bool again = !open_.insert(send.exchange).second;
      Happen(send, again);
    }
    for (const ForwarderOutput::Delivery& delivery : out.deliveries) {
      for (const Resolver::Done& waiter : delivery.waiters) waiter(delivery.answer);
    }
  }

  // What was sent since it was last asked: upstream and transport (s: TLS), "1u 1t 2u".
  std::string TakeSent() { return std::exchange(sent_, ""); }
  Forwarder& forwarder() { return *forwarder_; }
  Simulated& upstream(size_t index) { return upstreams_[index]; }
  ResolverOptions& options() { return options_; }
  absl::Time now() const { return now_; }
  const Name& last_sent_qname() const { return last_sent_qname_; }
  size_t open() const { return open_.size(); }
  void Wait(absl::Duration by) { Run(now_ + by); }

 private:
  static size_t IndexOf(const SocketAddress& address) { return address.ip.octets()[3] - size_t{1}; }

  void Happen(const ForwarderOutput::Send& send, bool again) {
    const Simulated& upstream = upstreams_[IndexOf(send.upstream.address)];
    const Does does = send.transport == Transport::kUdp ? upstream.udp : upstream.tcp;
    if (does == Does::kNothing || (does == Does::kLoseFirst && !again)) return;
    const uint64_t exchange = send.exchange;
    const absl::Time when = now_ + upstream.delay;
    if (does == Does::kRefuseConnection) {
      events_.emplace(when, [this, exchange](ForwarderOutput& out) {
        forwarder_->OnFailure(exchange, now_, out);
      });
      return;
    }
    SocketAddress source = send.upstream.address;
    if (does == Does::kForwardToUs) return ForwardBack(send, when);
    if (does == Does::kOtherSource) source.port = 54;
    if (does == Does::kForgeThenAnswer) Reply(exchange, source, Answer(send, Does::kOtherId), when);
    Reply(exchange, source, Answer(send, does), when);
  }

  // What an upstream does whose recursor is the forwarder.
  void ForwardBack(const ForwarderOutput::Send& send, absl::Time when) {
    UpstreamQuestion question;
    const size_t past = *ReadName(send.message, kHeaderOctets, question.qname);
    question.qname = question.qname.Lower();
    question.qtype = static_cast<RrType>(LoadU16(&send.message[past]));
    events_.emplace(when, [this, send, question](ForwarderOutput& out) {
      const auto pass_on = [this, send](const UpstreamAnswer& answer) {
        const bool txt = !answer.answer.empty() && answer.answer[0].type == RrType::kTxt;
        Name qname;
        ReadName(send.message, kHeaderOctets, qname);
        TestReply reply{.flags = static_cast<uint16_t>(kFlagQr | static_cast<int>(answer.rcode))};
        if (txt) {
          reply.answer = {qname.ToText() + " 0 IN TXT " +
                          std::string(AsText(Octets(answer.answer[0].rdata).subspan(1)))};
        }
        Reply(send.exchange, send.upstream.address, MakeReply(send.message, reply), now_);
      };
      forwarder_->Ask(question, now_, pass_on, out);
    });
  }

  void Reply(uint64_t exchange, const SocketAddress& source, std::vector<uint8_t> message,
             absl::Time when) {
    events_.emplace(when, [this, exchange, source, message](ForwarderOutput& out) mutable {
      forwarder_->OnReply(exchange, source, message, now_, out);
    });
  }

  static std::vector<uint8_t> Answer(const ForwarderOutput::Send& send, Does does) {
    const bool has_opt = LoadU16(&send.message[10]) == 1;
    const uint16_t flags = kFlagQr | kFlagRd | kFlagRa;
    Name qname;
    ReadName(send.message, kHeaderOctets, qname);
    const std::vector<std::string> answer = {
        qname.ToText() +
        absl::StrFormat(" 60 IN A 198.51.100.%d", IndexOf(send.upstream.address) + 1)};
    const std::vector<std::string> soa = {
        "example. 60 IN SOA ns.example. root.example. 1 2 3 4 60"};
    if (does == Does::kNxDomain) return MakeReply(send.message, {flags | 3, {}, soa});
    if (does == Does::kServFail) return MakeReply(send.message, {.flags = flags | 2});
    if (does == Does::kRefused) return MakeReply(send.message, {.flags = flags | 5});
    if (does == Does::kTruncate) return MakeReply(send.message, {.flags = flags | kFlagTc});
    if (does == Does::kFormErrOnOpt && has_opt)
      return MakeReply(send.message, {.flags = flags | 1});
    std::vector<uint8_t> message = MakeReply(send.message, {.flags = flags, .answer = answer});
    if (does == Does::kOtherId) message[0] ^= 0xff;
    if (does == Does::kGarbage) message.pop_back();
    if (does == Does::kLowerCase) {
      for (size_t i = 0; i < qname.size(); ++i) {
        message[kHeaderOctets + i] = LowerOctet(message[kHeaderOctets + i]);
      }
    }
    return message;
  }

  std::vector<Simulated> upstreams_;
  ResolverOptions options_;
  Random random_{7};
  absl::Time now_ = kStart;
  std::optional<Forwarder> forwarder_;
  std::multimap<absl::Time, std::function<void(ForwarderOutput&)>> events_;
  std::set<uint64_t> open_;
  std::string sent_;
  Name last_sent_qname_;
};

const UpstreamQuestion kWww = Ask("www.host.example.");

TEST(Forwarder, GoesFromUpstreamToUpstreamUntilOneAnswers) {
  const struct {
    std::string_view shows;
    std::vector<Simulated> upstreams;
    std::string_view want_sent;
    Rcode want;
    int want_ms;
    int want_upstream;  // Whose address is in the answer; 0: none is.
  } kRows[] = {
      {"the first answers", {{}, {}}, "1u", Rcode::kNoError, 10, 1},
      {"NXDOMAIN is an answer", {{Does::kNxDomain}, {}}, "1u", Rcode::kNxDomain, 10, 0},
      {"SERVFAIL is none", {{Does::kServFail}, {}}, "1u 2u", Rcode::kNoError, 20, 2},
      {"nor is REFUSED", {{Does::kRefused}, {}}, "1u 2u", Rcode::kNoError, 20, 2},
      {"all of them refuse",
       {{Does::kRefused}, {Does::kRefused}},
       "1u 2u",
       Rcode::kServFail,
       20,
       0},
      {"nobody listens", {{Does::kRefuseConnection}, {}}, "1u 2u", Rcode::kNoError, 20, 2},
      {"a dead one is asked twice", {{Does::kNothing}, {}}, "1u 1u 2u", Rcode::kNoError, 2010, 2},
      {"a lost datagram is sent again", {{Does::kLoseFirst}}, "1u 1u", Rcode::kNoError, 1010, 1},
      {"the only one is dead", {{Does::kNothing}}, "1u 1u", Rcode::kServFail, 2000, 0},
      {"three dead ones share the patience",
       {{Does::kNothing}, {Does::kNothing}, {Does::kNothing}},
       "1u 1u 2u 2u 3u 3u",
       Rcode::kServFail,
       4500,
       0},
      {"slow, but in time",
       {{.delay = absl::Milliseconds(1900)}},
       "1u 1u",
       Rcode::kNoError,
       1900,
       1},
      {"truncated: TCP to the same",
       {{Does::kTruncate, Does::kAnswer}, {}},
       "1u 1t",
       Rcode::kNoError,
       20,
       1},
      {"no TCP there: the next",
       {{Does::kTruncate, Does::kRefuseConnection}, {}},
       "1u 1t 2u",
       Rcode::kNoError,
       30,
       2},
      {"TCP without reply: the next",
       {{Does::kTruncate, Does::kNothing}, {}},
       "1u 1t 2u",
       Rcode::kNoError,
       2020,
       2},
      {"TCP with another id: the next",
       {{Does::kTruncate, Does::kOtherId}, {}},
       "1u 1t 2u",
       Rcode::kNoError,
       30,
       2},
      {"letter case lost: TCP to the same",
       {{Does::kLowerCase, Does::kLowerCase}},
       "1u 1t",
       Rcode::kNoError,
       20,
       1},
      {"a wrong guess changes nothing", {{Does::kForgeThenAnswer}}, "1u", Rcode::kNoError, 10, 1},
      {"a wrong guess, and no reply", {{Does::kOtherId}, {}}, "1u 1u 2u", Rcode::kNoError, 2010, 2},
      {"another source is not heard",
       {{Does::kOtherSource}, {}},
       "1u 1u 2u",
       Rcode::kNoError,
       2010,
       2},
      {"what cannot be read is no answer", {{Does::kGarbage}, {}}, "1u 2u", Rcode::kNoError, 20, 2},
      {"one that knows no EDNS is asked without",
       {{Does::kFormErrOnOpt}},
       "1u 1u",
       Rcode::kNoError,
       20,
       1},
  };
  for (const auto& row : kRows) {
    SCOPED_TRACE(row.shows);
    Simulation simulation(row.upstreams);
    const auto result = simulation.AskAndRun(kWww);
    EXPECT_EQ(simulation.TakeSent(), row.want_sent);
    ASSERT_TRUE(result.answer.has_value());
    EXPECT_EQ(result.answer->rcode, row.want);
    EXPECT_EQ(result.when - kStart, absl::Milliseconds(row.want_ms));
    const auto& records = result.answer->answer;
    EXPECT_EQ(records.empty() ? 0 : records[0].rdata.at(3), row.want_upstream);
    EXPECT_EQ(simulation.open(), 0u) << "a socket is left open";
    EXPECT_EQ(simulation.forwarder().in_flight(), 0u);
  }
}

TEST(Forwarder, NeverTakesLongerThanClientsWait) {
  for (const size_t count : {1, 2, 5, 40}) {
    for (const Does does : {Does::kNothing, Does::kTruncate, Does::kLowerCase, Does::kOtherId}) {
      Simulation simulation(std::vector<Simulated>(
          count, {.udp = does, .tcp = Does::kNothing, .delay = absl::Milliseconds(150)}));
      const auto result = simulation.AskAndRun(kWww);
      EXPECT_LE(result.when - kStart, ResolverOptions().deadline) << count << " upstreams";
      EXPECT_EQ(result.answer->rcode, Rcode::kServFail);
    }
  }
}

TEST(Forwarder, ManyWrongGuessesLeadToTcp) {
  Simulation simulation({{Does::kNothing, Does::kAnswer}});
  Simulation::Result result;
  simulation.Ask(kWww, result);
  std::vector<uint8_t> guess(40, 0);
  for (int i = 0; i < kMismatchesMax; ++i) {
    EXPECT_EQ(simulation.forwarder().counters().tcp.value(), 0u);
    ForwarderOutput out;
    simulation.forwarder().OnReply(1, Simulation::AddressOf(0), guess, simulation.now(), out);
    simulation.Perform(out);
  }
  simulation.Run();
  EXPECT_EQ(simulation.TakeSent(), "1u 1t");
  EXPECT_EQ(result.answer->rcode, Rcode::kNoError);
  EXPECT_EQ(simulation.forwarder().counters().mismatches.value(), 3u);
}

TEST(Forwarder, EachQueryHasAnIdAndLetterCaseOfItsOwn) {
  Simulation simulation({Simulated{}});
  absl::flat_hash_set<std::vector<uint8_t>> seen;
  for (int i = 0; i < 100; ++i) {
    ForwarderOutput out;
    simulation.forwarder().Ask(
        Ask(absl::StrFormat("n%d.example.", i % 2)), kStart, [](const UpstreamAnswer&) {}, out);
    ForwarderOutput drop;
    if (!out.sends.empty()) seen.insert(out.sends[0].message);
    simulation.forwarder().Abandon(drop);
  }
  EXPECT_EQ(seen.size(), 100u);
}

TEST(Forwarder, AnswersFromTheCacheAfterwards) {
  Simulation simulation({Simulated{}});
  simulation.AskAndRun(kWww);
  EXPECT_EQ(simulation.TakeSent(), "1u");
  const auto again = simulation.AskAndRun(Ask("WWW.Host.Example."));
  EXPECT_EQ(simulation.TakeSent(), "");
  EXPECT_EQ(again.answer->answer.at(0).owner.ToText(), "WWW.Host.Example.");
  simulation.Wait(absl::Seconds(61));
  simulation.AskAndRun(kWww);
  EXPECT_EQ(simulation.TakeSent(), "1u");
}

TEST(Forwarder, AFailureIsNotAskedForAgainAtOnce) {
  Simulation simulation({{Does::kServFail}});
  simulation.AskAndRun(kWww);
  EXPECT_EQ(simulation.TakeSent(), "1u");
  EXPECT_EQ(simulation.AskAndRun(kWww).answer->rcode, Rcode::kServFail);
  EXPECT_EQ(simulation.TakeSent(), "");
  simulation.Wait(kFailureLifetime);
  simulation.AskAndRun(kWww);
  EXPECT_EQ(simulation.TakeSent(), "1u");
}

TEST(Forwarder, GivesAStaleAnswerBeforeTheClientGoes) {
  Simulation simulation({Simulated{}});
  simulation.AskAndRun(kWww);
  simulation.Wait(absl::Seconds(100));
  simulation.upstream(0).udp = Does::kNothing;
  const absl::Time asked = simulation.now();
  auto stale = simulation.AskAndRun(kWww);
  EXPECT_TRUE(stale.answer->stale);
  EXPECT_EQ(stale.answer->answer.at(0).ttl_s, kStaleTtl_s);
  EXPECT_EQ(stale.when - asked, kStalePatience);
  EXPECT_EQ(simulation.AskAndRun(kWww).when, simulation.now()) << "at once from now on";

  simulation.Wait(kStaleRecheck + absl::Seconds(5));
  simulation.upstream(0).udp = Does::kRefuseConnection;
  EXPECT_TRUE(simulation.AskAndRun(kWww).answer->stale);
  simulation.Wait(kStaleRecheck);
  simulation.upstream(0).udp = Does::kAnswer;
  EXPECT_FALSE(simulation.AskAndRun(kWww).answer->stale) << "the upstream is back";
}

TEST(Forwarder, APopularAnswerIsRenewedBeforeItExpires) {
  Simulation simulation({Simulated{}});
  for (uint32_t i = 0; i <= kPopularHits; ++i) simulation.AskAndRun(kWww);
  simulation.Wait(absl::Seconds(58));
  simulation.TakeSent();
  const absl::Time asked = simulation.now();
  EXPECT_EQ(simulation.AskAndRun(kWww).when, asked) << "the client does not wait for it";
  EXPECT_EQ(simulation.TakeSent(), "1u");
  simulation.Wait(absl::Seconds(30));
  EXPECT_FALSE(simulation.AskAndRun(kWww).answer->stale);
  EXPECT_EQ(simulation.TakeSent(), "");
}

TEST(Forwarder, IdenticalQuestionsShareOneQuery) {
  Simulation simulation({Simulated{}});
  std::vector<Simulation::Result> results(kWaitersMax + 1);
  for (auto& result : results) simulation.Ask(kWww, result);
  EXPECT_EQ(results.back().answer->rcode, Rcode::kServFail) << "one more than may wait";
  Simulation::Result other;
  simulation.Ask(Ask("www.host.example.", RrType::kAaaa), other);
  simulation.Run();
  EXPECT_EQ(simulation.TakeSent(), "1u 1u");
  for (size_t i = 0; i < kWaitersMax; ++i) {
    ASSERT_EQ(results[i].calls, 1);
    ASSERT_EQ(results[i].answer->rcode, Rcode::kNoError);
  }
  EXPECT_EQ(simulation.forwarder().counters().coalesced.value(), kWaitersMax - 1);
  EXPECT_EQ(simulation.forwarder().counters().dropped.value(), 1u);
}

TEST(Forwarder, AtItsBoundTheOldestQuestionIsDropped) {
  Simulation simulation({{Does::kNothing}});
  std::vector<Simulation::Result> results(kInFlightMax + 1);
  for (size_t i = 0; i < results.size(); ++i) {
    simulation.Ask(Ask(absl::StrFormat("n%d.example.", i)), results[i]);
    ASSERT_LE(simulation.forwarder().in_flight(), kInFlightMax);
    ASSERT_EQ(results[0].calls, i < kInFlightMax ? 0 : 1);
  }
  EXPECT_EQ(results[0].answer->rcode, Rcode::kServFail);
  EXPECT_EQ(results[1].calls, 0);
  simulation.Run();
  for (const auto& result : results) ASSERT_EQ(result.calls, 1);
  EXPECT_EQ(simulation.open(), 0u);
}

TEST(Forwarder, AnUpstreamThatFailsIsPassedOverAndProbed) {
  Simulation simulation({{Does::kNothing}, {}});
  int next = 0;
  const auto ask = [&] {
    const absl::Time asked = simulation.now();
    const auto result = simulation.AskAndRun(Ask(absl::StrFormat("n%d.example.", next++)));
    EXPECT_EQ(result.answer->rcode, Rcode::kNoError);
    return absl::StrFormat("%d ms: %s", absl::ToInt64Milliseconds(result.when - asked),
                           simulation.TakeSent());
  };
  const UpstreamHealth& first = *simulation.forwarder().upstreams()[0];
  for (int i = 0; i < UpstreamHealth::kFailuresToAvoid; ++i) {
    EXPECT_FALSE(first.down());
    EXPECT_EQ(ask(), "2010 ms: 1u 1u 2u");
  }
  EXPECT_TRUE(first.down());
  EXPECT_EQ(first.counters().down.value(), 1u);
  EXPECT_EQ(ask(), "10 ms: 2u") << "not waited for any more";

  // It is tried with a question of which the client does not wait for it; at first soon, then less
  // and less often.
  simulation.upstream(0).udp = Does::kRefuseConnection;
  absl::Duration wait = UpstreamHealth::kProbeAfterMin;
  for (int i = 0; i < 8; ++i) {
    simulation.Wait(wait);
    EXPECT_EQ(ask(), "10 ms: 1u 2u") << i;
    EXPECT_EQ(ask(), "10 ms: 2u") << i;
    wait = std::min(wait * 2, UpstreamHealth::kProbeAfterMax);
  }
  simulation.upstream(0).udp = Does::kAnswer;
  simulation.Wait(wait);
  EXPECT_EQ(ask(), "10 ms: 1u 2u");
  EXPECT_FALSE(first.down());
  EXPECT_EQ(ask(), "10 ms: 1u") << "it is back";
  EXPECT_EQ(first.counters().down.value(), 0u);
  EXPECT_EQ(simulation.open(), 0u);
}

TEST(Forwarder, GivesStaleAnswersAtOnceWhereAllAreDown) {
  Simulation simulation({Simulated{}});
  simulation.AskAndRun(kWww);
  simulation.Wait(absl::Seconds(100));
  simulation.upstream(0).udp = Does::kNothing;
  for (int i = 0; i < UpstreamHealth::kFailuresToAvoid; ++i) {
    simulation.AskAndRun(Ask(absl::StrFormat("n%d.example.", i)));
  }
  const absl::Time asked = simulation.now();
  const auto stale = simulation.AskAndRun(kWww);
  EXPECT_TRUE(stale.answer->stale);
  EXPECT_EQ(stale.when, asked);
  EXPECT_EQ(simulation.open(), 0u);
}

TEST(Forwarder, KeepsTheDeadlineItIsGiven) {
  for (const int deadline_ms : {300, 1000, 9000}) {
    ResolverOptions options;
    options.deadline = absl::Milliseconds(deadline_ms);
    Simulation simulation({{Does::kNothing}, {Does::kNothing}, {Does::kNothing}}, options);
    const auto result = simulation.AskAndRun(kWww);
    EXPECT_EQ(result.answer->rcode, Rcode::kServFail);
    EXPECT_LE(result.when - kStart, options.deadline);
    EXPECT_GE(result.when - kStart + absl::Milliseconds(1),
              std::min(options.deadline, 3 * options.upstream_timeout));
  }
}

TEST(Forwarder, NamesOfAForwardZoneAreAskedThereAndNowhereElse) {
  ResolverOptions options;
  const Upstream corp{Simulation::AddressOf(1)}, eu{Simulation::AddressOf(2)};
  options.forward_zones = {{*Name::FromText("corp.example."), {corp}},
                           {*Name::FromText("eu.corp.example."), {eu, corp}},
                           {*Name::FromText("10.in-addr.arpa."), {corp}}};
  Simulation simulation({{}, {}, {}}, options);
  simulation.options().upstreams.resize(1);
  simulation.forwarder().Configure(simulation.options());
  const struct {
    std::string_view shows, qname, want_sent;
  } kRows[] = {
      {"another name", "www.example.", "1u"},
      {"the domain itself", "Corp.Example.", "2u"},
      {"a name below", "a.b.corp.example.", "2u"},
      {"the longest suffix wins", "db.eu.corp.example.", "3u"},
      {"an address", "1.0.0.10.in-addr.arpa.", "2u"},
      {"another network's", "1.0.0.11.in-addr.arpa.", "1u"},
  };
  for (const auto& row : kRows) {
    simulation.AskAndRun(Ask(row.qname));
    EXPECT_EQ(simulation.TakeSent(), row.want_sent) << row.shows;
  }
  simulation.upstream(1).udp = Does::kServFail;
  EXPECT_EQ(simulation.AskAndRun(Ask("new.corp.example.")).answer->rcode, Rcode::kServFail);
  EXPECT_EQ(simulation.TakeSent(), "2u") << "it does not leak to the recursors";
}

TEST(Forwarder, AnUpstreamByTlsIsAskedByTlsOnly) {
  ResolverOptions options;
  options.upstreams = {{.address = Simulation::AddressOf(0), .tls = true}};
  Simulation simulation({{Does::kNothing, Does::kAnswer}, {}}, options);
  simulation.options().upstreams.resize(1);
  simulation.forwarder().Configure(simulation.options());
  const auto result = simulation.AskAndRun(kWww);
  EXPECT_EQ(simulation.TakeSent(), "1s");
  EXPECT_EQ(result.answer->rcode, Rcode::kNoError);
  EXPECT_EQ(simulation.forwarder().counters().tls.value(), 1u);
  EXPECT_EQ(simulation.forwarder().counters().tcp.value(), 0u);
  simulation.upstream(0).tcp = Does::kNothing;
  for (int i = 0; i < UpstreamHealth::kFailuresToAvoid; ++i) {
    simulation.AskAndRun(Ask(absl::StrFormat("n%d.example.", i)));
  }
  EXPECT_EQ(simulation.TakeSent(), "1s 1s 1s") << "nothing is sent in the clear";
  EXPECT_TRUE(simulation.forwarder().upstreams()[0]->down());
}

TEST(Forwarder, AnUpstreamThatAsksUsIsFoundOutAndNotAsked) {
  ResolverOptions options;
  options.loop_token = "0123456789abcdef";
  Simulation simulation({{Does::kForwardToUs}, {}}, options);
  const auto first = simulation.AskAndRun(Ask("a.example."));
  EXPECT_EQ(first.answer->rcode, Rcode::kNoError);
  // The question, which waits for itself; after a while the probe, which comes back; the next.
  EXPECT_EQ(simulation.TakeSent(), "1u 1u 1u 2u");
  EXPECT_LE(first.when - kStart, absl::Milliseconds(1100));
  EXPECT_TRUE(simulation.forwarder().upstreams()[0]->looping());
  EXPECT_EQ(simulation.forwarder().counters().loops.value(), 1u);
  simulation.AskAndRun(Ask("b.example."));
  EXPECT_EQ(simulation.TakeSent(), "2u");

  simulation.upstream(0).udp = Does::kNxDomain;  // To the probe, too.
  simulation.Wait(UpstreamHealth::kLoopProbeInterval);
  simulation.AskAndRun(Ask("c.example."));
  EXPECT_EQ(simulation.TakeSent(), "1u 2u") << "the probe goes beside the question";
  simulation.AskAndRun(Ask("d.example."));
  EXPECT_EQ(simulation.TakeSent(), "1u") << "it asks us no more";
  EXPECT_EQ(simulation.open(), 0u);
}

TEST(Forwarder, WithoutLoopDetectionAllAreAskedAgain) {
  ResolverOptions options;
  options.loop_token = "0123456789abcdef";
  Simulation simulation({{Does::kForwardToUs}, {}}, options);
  simulation.AskAndRun(Ask("a.example."));
  EXPECT_TRUE(simulation.forwarder().upstreams()[0]->looping());
  simulation.options().loop_token.clear();
  simulation.forwarder().Configure(simulation.options());
  simulation.upstream(0).udp = Does::kAnswer;
  simulation.TakeSent();
  simulation.Wait(UpstreamHealth::kLoopProbeInterval);
  simulation.AskAndRun(Ask("b.example."));
  EXPECT_EQ(simulation.TakeSent(), "1u");
}

TEST(Forwarder, OnlyUpstreamThatAsksUsMeansServFail) {
  ResolverOptions options;
  options.loop_token = "0123456789abcdef";
  Simulation simulation({{Does::kForwardToUs}}, options);
  EXPECT_EQ(simulation.AskAndRun(Ask("a.example.")).answer->rcode, Rcode::kServFail);
  const absl::Time asked = simulation.now();
  const auto next = simulation.AskAndRun(Ask("b.example."));
  EXPECT_EQ(next.answer->rcode, Rcode::kServFail);
  EXPECT_EQ(next.when, asked) << "at once";
}

TEST(Forwarder, AQuestionInOurOwnLettersIsNotMadeToWaitForItself) {
  Simulation simulation({{Does::kNothing}});
  Simulation::Result client, came_back, other;
  const UpstreamQuestion question = Ask("www.name-with-letters-enough.example.");
  simulation.Ask(question, client);
  UpstreamQuestion ours = question;
  ours.qname = simulation.last_sent_qname();
  simulation.Ask(ours, came_back);
  EXPECT_EQ(came_back.calls, 1);
  EXPECT_EQ(came_back.answer->rcode, Rcode::kServFail);
  simulation.Ask(question, other);
  EXPECT_EQ(other.calls, 0) << "another client's question waits with the first";
  EXPECT_EQ(simulation.forwarder().counters().loops.value(), 1u);
  simulation.Run();
}

TEST(Forwarder, RandomStrategySpreadsTheQuestions) {
  ResolverOptions options;
  options.strategy = RecursorStrategy::kRandom;
  Simulation simulation({{}, {}, {}}, options);
  std::map<std::string, int> sent;
  for (int i = 0; i < 300; ++i) {
    simulation.AskAndRun(Ask(absl::StrFormat("n%d.example.", i)));
    ++sent[simulation.TakeSent()];
  }
  ASSERT_EQ(sent.size(), 3u);
  for (const auto& [upstream, count] : sent) EXPECT_GT(count, 60) << upstream;
}

TEST(Forwarder, AKnownRoundTripMakesResendingQuick) {
  Simulation simulation({Simulated{}});
  simulation.AskAndRun(kWww);
  simulation.upstream(0).udp = Does::kLoseFirst;
  const absl::Time asked = simulation.now();
  EXPECT_EQ(simulation.AskAndRun(Ask("lost.example.")).when - asked,
            kResendAfterMin + absl::Milliseconds(10));
}

TEST(Forwarder, NewUpstreamsLeaveWhatIsUnderWayAndCached) {
  Simulation simulation({Simulated{}, {}});
  simulation.AskAndRun(kWww);
  Simulation::Result under_way;
  simulation.Ask(Ask("slow.example."), under_way);
  simulation.options().upstreams = {{Simulation::AddressOf(1)}};
  simulation.forwarder().Configure(simulation.options());
  simulation.Run();
  EXPECT_EQ(under_way.answer->answer.at(0).rdata.at(3), 1);
  simulation.TakeSent();
  simulation.AskAndRun(kWww);
  EXPECT_EQ(simulation.TakeSent(), "");
  simulation.AskAndRun(Ask("new.example."));
  EXPECT_EQ(simulation.TakeSent(), "2u");

  simulation.options().upstreams.clear();
  simulation.forwarder().Configure(simulation.options());
  EXPECT_FALSE(simulation.forwarder().has_upstreams());
  EXPECT_EQ(simulation.AskAndRun(Ask("none.example.")).answer->rcode, Rcode::kServFail);
}

TEST(Forwarder, ZoneTransfersAreNotForwarded) {
  Simulation simulation({Simulated{}});
  for (const RrType type : {RrType::kAxfr, RrType::kIxfr}) {
    EXPECT_EQ(simulation.AskAndRun(Ask("example.", type)).answer->rcode, Rcode::kNotImp);
  }
  EXPECT_EQ(simulation.TakeSent(), "");
}

TEST(Forwarder, AnswersEveryoneWhenItIsAbandoned) {
  Simulation simulation({{Does::kNothing}});
  std::vector<Simulation::Result> results(3);
  simulation.Ask(kWww, results[0]);
  simulation.Ask(kWww, results[1]);
  simulation.Ask(Ask("other.example."), results[2]);
  ForwarderOutput out;
  simulation.forwarder().Abandon(out);
  simulation.Perform(out);
  for (const auto& result : results) EXPECT_EQ(result.calls, 1);
  EXPECT_EQ(simulation.open(), 0u);
  EXPECT_EQ(simulation.forwarder().NextDeadline(), absl::InfiniteFuture());
}

}  // namespace
}  // namespace pharos::dns
