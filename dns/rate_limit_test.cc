#include "dns/rate_limit.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "dns/reply_writer.h"

namespace pharos::dns {
namespace {

constexpr uint64_t kSecret = 42;

IpAddress Ip(std::string_view text) { return *IpAddress::Parse(text); }

// What happened to `count` responses of one class to one client, all at one time.
struct Tally {
  int sent = 0, slipped = 0, dropped = 0, began = 0;
  friend bool operator==(const Tally&, const Tally&) = default;
  friend void PrintTo(const Tally& tally, std::ostream* out) {
    *out << tally.sent << " sent, " << tally.slipped << " slipped, " << tally.dropped
         << " dropped, began " << tally.began << " times";
  }
};

struct Limited {
  explicit Limited(const RateLimitOptions& options) : limiter(options, kSecret) {}
  Tally Send(int count, std::string_view client = "192.0.2.1",
             ResponseClass response = {ResponseKind::kAnswer, 1}) {
    Tally tally;
    for (int i = 0; i < count; ++i) {
      const RateLimitDecision decision = limiter.Judge(Ip(client), response, clock.Now());
      tally.sent += decision.verdict == RateLimitDecision::kSend ? 1 : 0;
      tally.slipped += decision.verdict == RateLimitDecision::kSlip ? 1 : 0;
      tally.dropped += decision.verdict == RateLimitDecision::kDrop ? 1 : 0;
      tally.began += decision.began ? 1 : 0;
    }
    return tally;
  }
  ManualClock clock;
  RateLimiter limiter;
};

RateLimitOptions Ten() {
  return {.responses_per_second = 10, .nxdomains_per_second = 5, .errors_per_second = 2};
}

TEST(RateLimiter, LimitsWhatIsBeyondTheRateAndSlipsEverySecond) {
  Limited limited(Ten());
  EXPECT_EQ(limited.Send(30), (Tally{.sent = 10, .slipped = 10, .dropped = 10, .began = 1}));
  EXPECT_EQ(limited.limiter.counters().slipped.value(), 10u);
  EXPECT_EQ(limited.limiter.counters().dropped.value(), 10u);
}

TEST(RateLimiter, LetsThroughASteadyStreamAtTheRate) {
  Limited limited(Ten());
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(limited.Send(1), Tally{.sent = 1}) << i;
    limited.clock.Advance(absl::Milliseconds(100));
  }
}

TEST(RateLimiter, ForgivesAtTheRateAndForgetsAfterTheWindow) {
  RateLimitOptions options = Ten();
  options.window_s = 3;
  Limited limited(options);
  limited.Send(10'000);  // In debt by the window's 30 responses, and no deeper.
  limited.clock.Advance(absl::Seconds(2));
  EXPECT_EQ(limited.Send(1).sent, 0) << "10 of 30 are still owed";
  limited.clock.Advance(absl::Milliseconds(1300));
  EXPECT_EQ(limited.Send(5).sent, 2) << "31 owed, 33 brought back";
  limited.clock.Advance(absl::Seconds(4));
  EXPECT_EQ(limited.Send(11), (Tally{.sent = 10, .dropped = 1, .began = 1}))
      << "as new, and limiting begins anew";
}

TEST(RateLimiter, SlipSaysHowManyOfTheLimitedAreTruncated) {
  const struct {
    uint32_t slip;
    Tally want;
  } kRows[] = {{0, {.sent = 10, .slipped = 0, .dropped = 60, .began = 1}},
               {1, {.sent = 10, .slipped = 60, .dropped = 0, .began = 1}},
               {3, {.sent = 10, .slipped = 20, .dropped = 40, .began = 1}}};
  for (const auto& row : kRows) {
    RateLimitOptions options = Ten();
    options.slip = row.slip;
    EXPECT_EQ(Limited(options).Send(70), row.want) << row.slip;
  }
}

TEST(RateLimiter, CountsByNetworkAndByClassOfResponse) {
  const struct {
    std::string_view shows, client;
    ResponseClass response;
    int sent;
  } kRows[] = {
      {"a neighbour shares the bucket", "192.0.2.254", {ResponseKind::kAnswer, 1}, 0},
      {"another network does not", "192.0.3.1", {ResponseKind::kAnswer, 1}, 10},
      {"nor does another question", "192.0.2.1", {ResponseKind::kAnswer, 2}, 10},
      {"NXDOMAIN has a rate of its own", "192.0.2.1", {ResponseKind::kNxDomain, 1}, 5},
      {"and so have errors", "192.0.2.1", {ResponseKind::kError, 0}, 2},
      {"IPv6 is apart", "2001:db8:0:1::1", {ResponseKind::kAnswer, 1}, 10},
      {"a /56 is one network", "2001:db8:0:ff::1", {ResponseKind::kAnswer, 1}, 0},
      {"the next /56 another", "2001:db8:0:100::1", {ResponseKind::kAnswer, 1}, 10},
  };
  Limited limited(Ten());
  limited.Send(100);
  for (const auto& row : kRows) {
    EXPECT_EQ(limited.Send(100, row.client, row.response).sent, row.sent) << row.shows;
  }
}

TEST(RateLimiter, LeavesExemptClientsAloneAndDoesNotCountThem) {
  RateLimitOptions options = Ten();
  options.exempt = {*Cidr::Parse("192.0.2.128/25")};
  Limited limited(options);
  EXPECT_EQ(limited.Send(100, "192.0.2.200").sent, 100);
  EXPECT_EQ(limited.Send(100, "192.0.2.1").sent, 10) << "their neighbours have it all";
}

TEST(RateLimiter, ARateOfNothingIsNoLimit) {
  Limited limited({.responses_per_second = 0, .nxdomains_per_second = 5});
  EXPECT_EQ(limited.Send(1000).sent, 1000);
  EXPECT_EQ(limited.Send(1000, "192.0.2.1", {ResponseKind::kNxDomain, 1}).sent, 5);
}

TEST(RateLimiter, AClockThatIsSetBackCostsNothing) {
  Limited limited(Ten());
  limited.Send(5);
  limited.clock.Advance(absl::Hours(-1));
  EXPECT_EQ(limited.Send(5).sent, 5);
  limited.clock.Advance(absl::Seconds(1));
  EXPECT_EQ(limited.Send(10).sent, 10);
}

// However many networks ask, the table stays as it is: the oldest make room, and are counted.
TEST(RateLimiter, AFullTableForgetsTheOldestAndCountsThem) {
  RateLimitOptions options = Ten();
  options.table_size = 64;
  Limited limited(options);
  for (int i = 0; i < 1000; ++i) {
    limited.Send(1, "10." + std::to_string(i / 250) + "." + std::to_string(i % 250) + ".1");
    limited.clock.Advance(absl::Milliseconds(1));
  }
  const uint64_t evictions = limited.limiter.counters().evictions.value();
  EXPECT_GE(evictions, 1000u - 64);
  limited.clock.Advance(absl::Minutes(1));
  for (int i = 0; i < 16; ++i) limited.Send(1, "172.16." + std::to_string(i) + ".1");
  EXPECT_LE(limited.limiter.counters().evictions.value(), evictions + 2)
      << "what nobody has used for a window is free";
}

TEST(NetworkOf, KeepsThePrefix) {
  const struct {
    std::string_view address, network;
    uint32_t v4, v6;
  } kRows[] = {{"192.0.2.77", "192.0.2.0", 24, 56},
               {"192.0.2.77", "192.0.2.77", 32, 56},
               {"192.0.2.77", "192.0.2.64", 27, 56},
               {"2001:db8:1:2ff::1", "2001:db8:1:200::", 24, 56},
               {"2001:db8:1:2ff::1", "2001:db8:1:2ff::1", 24, 128}};
  for (const auto& row : kRows) {
    EXPECT_EQ(NetworkOf(Ip(row.address), {.ipv4_prefix = row.v4, .ipv6_prefix = row.v6}).ToString(),
              row.network);
  }
}

// A reply to a question of ours with an SOA of `zone`, or without one.
ResponseClass Classify(std::string_view qname, Rcode rcode, std::string_view zone,
                       RrType type = RrType::kA) {
  Query query;
  query.qname = *Name::FromText(qname);
  query.qtype = type;
  std::vector<uint8_t> question(query.qname.wire().begin(), query.qname.wire().end());
  question.insert(question.end(), {0, 1, 0, 1});
  query.question = question;
  std::array<uint8_t, 512> buffer{};
  ReplyWriter writer(query, buffer, buffer.size(), true);
  if (!zone.empty()) {
    const Name owner = *Name::FromText(zone);
    const std::array<uint8_t, 22> soa{};
    writer.AddRecord(Section::kAuthority, RrType::kSoa, {.labels = {}, .suffix = owner.wire()}, 1,
                     soa);
  }
  return ClassifyResponse(query, Octets(buffer).first(writer.Finish(rcode, 0)));
}

TEST(ClassifyResponse, PutsTogetherWhatAFloodRepeats) {
  const auto same = [](const ResponseClass& a, const ResponseClass& b) {
    return a.kind == b.kind && a.name_hash == b.name_hash;
  };
  const ResponseClass answer = Classify("web.service.consul", Rcode::kNoError, "");
  EXPECT_EQ(answer.kind, ResponseKind::kAnswer);
  EXPECT_TRUE(same(answer, Classify("WEB.Service.consul", Rcode::kNoError, "")));
  EXPECT_FALSE(same(answer, Classify("api.service.consul", Rcode::kNoError, "")));
  EXPECT_FALSE(same(answer, Classify("web.service.consul", Rcode::kNoError, "", RrType::kSrv)));

  const ResponseClass negative = Classify("a.example.com", Rcode::kNxDomain, "example.com");
  EXPECT_EQ(negative.kind, ResponseKind::kNxDomain);
  EXPECT_TRUE(same(negative, Classify("b.c.example.com", Rcode::kNxDomain, "Example.COM")));
  EXPECT_FALSE(same(negative, Classify("a.example.net", Rcode::kNxDomain, "example.net")));
  EXPECT_TRUE(same(Classify("a.example.", Rcode::kNxDomain, ""),
                   Classify("b.example.", Rcode::kNxDomain, "")));

  for (const Rcode rcode : {Rcode::kServFail, Rcode::kRefused, Rcode::kNotImp}) {
    EXPECT_TRUE(same(Classify("a.example.", rcode, ""), ResponseClass{ResponseKind::kError, 0}));
  }
}

TEST(ClassifyResponse, AnUnreadableQuestionIsAnError) {
  const std::array<uint8_t, 12> reply{0, 1, 0x80, 1};
  EXPECT_EQ(ClassifyResponse(Query(), reply).kind, ResponseKind::kError);
  EXPECT_EQ(ClassifyResponse(Query(), {}).kind, ResponseKind::kError);
}

}  // namespace
}  // namespace pharos::dns
