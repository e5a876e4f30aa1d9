#include "dns/answer_cache.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/random.h"
#include "dns/upstream_test_message.h"

namespace pharos::dns {
namespace {

const absl::Time kStart = absl::FromUnixSeconds(1'700'000'000);

UpstreamAnswer MakeAnswer(Rcode rcode, const std::vector<std::string>& answer,
                          const std::vector<std::string>& authority = {},
                          const std::vector<std::string>& additional = {}) {
  UpstreamAnswer made;
  made.rcode = rcode;
  for (const std::string& text : answer) made.answer.push_back(MakeRecord(text));
  for (const std::string& text : authority) made.authority.push_back(MakeRecord(text));
  for (const std::string& text : additional) made.additional.push_back(MakeRecord(text));
  return made;
}

const char kSoa[] = "example. 600 IN SOA ns.example. root.example. 1 2 3 4 60";

class AnswerCacheTest : public ::testing::Test {
 protected:
  CacheResult Find(const UpstreamQuestion& question, absl::Duration after) {
    answer_ = UpstreamAnswer();
    return cache_.Find(question, kStart + after, answer_);
  }
  void InsertAddress(const UpstreamQuestion& question, uint32_t ttl_s,
                     absl::Duration after = absl::ZeroDuration()) {
    cache_.Insert(question,
                  MakeAnswer(Rcode::kNoError, {question.qname.ToText() + " " +
                                               std::to_string(ttl_s) + " IN A 192.0.2.1"}),
                  kStart + after);
  }

  AnswerCache cache_{1 << 20};
  UpstreamAnswer answer_;
  const UpstreamQuestion www_ = Ask("www.example.");
};

TEST(AnswerLifetime, IsWhatTheReplySays) {
  const struct {
    std::string_view shows;
    Rcode rcode;
    std::vector<std::string> answer, authority, additional;
    absl::Duration want;
  } kRows[] = {
      {"the shortest TTL of the answer",
       Rcode::kNoError,
       {"www.example. 300 IN CNAME a.example.", "a.example. 60 IN A 192.0.2.1"},
       {},
       {},
       absl::Seconds(60)},
      {"of the other sections too",
       Rcode::kNoError,
       {"www.example. 300 IN A 192.0.2.1"},
       {"example. 30 IN NS ns.example."},
       {"ns.example. 20 IN A 192.0.2.2"},
       absl::Seconds(20)},
      {"never above a day",
       Rcode::kNoError,
       {"www.example. 2000000 IN A 192.0.2.1"},
       {},
       {},
       absl::Hours(24)},
      {"NXDOMAIN: the SOA's minimum", Rcode::kNxDomain, {}, {kSoa}, {}, absl::Seconds(60)},
      {"NODATA: or its TTL",
       Rcode::kNoError,
       {},
       {"example. 10 IN SOA ns.example. root.example. 1 2 3 4 60"},
       {},
       absl::Seconds(10)},
      {"never above three hours",
       Rcode::kNxDomain,
       {},
       {"example. 90000 IN SOA ns.example. root.example. 1 2 3 4 90000"},
       {},
       absl::Hours(3)},
      {"a chain to nothing: the shortest of all",
       Rcode::kNoError,
       {"www.example. 5 IN CNAME a.example."},
       {kSoa},
       {},
       absl::Seconds(5)},
      {"NXDOMAIN without SOA is not kept", Rcode::kNxDomain, {}, {}, {}, absl::ZeroDuration()},
      {"a referral is no answer",
       Rcode::kNoError,
       {},
       {"example. 300 IN NS ns.example."},
       {},
       absl::ZeroDuration()},
      {"TTL 0 is for this once",
       Rcode::kNoError,
       {"www.example. 0 IN A 192.0.2.1"},
       {},
       {},
       absl::ZeroDuration()},
  };
  for (const auto& row : kRows) {
    EXPECT_EQ(AnswerLifetime(Ask("www.example."),
                             MakeAnswer(row.rcode, row.answer, row.authority, row.additional)),
              row.want)
        << row.shows;
  }
}

TEST_F(AnswerCacheTest, GivesBackTheWholeReplyWithTtlsCountedDown) {
  UpstreamAnswer stored =
      MakeAnswer(Rcode::kNoError,
                 {"www.example. 300 IN CNAME web.example.", "web.example. 100 IN A 192.0.2.1",
                  "web.example. 100 IN A 192.0.2.2"},
                 {"example. 900 IN NS ns.example."}, {"ns.example. 900 IN AAAA 2001:db8::1"});
  stored.authentic_data = true;
  stored.authoritative = true;
  cache_.Insert(www_, stored, kStart);

  ASSERT_EQ(Find(Ask("WWW.Example."), absl::Seconds(99)), CacheResult::kHit);
  EXPECT_EQ(answer_.rcode, Rcode::kNoError);
  EXPECT_TRUE(answer_.authentic_data);
  EXPECT_FALSE(answer_.authoritative) << "a cache is no authority";
  ASSERT_EQ(answer_.answer.size(), 3u);
  for (const auto& [got, want] : {std::pair(&answer_.answer, &stored.answer),
                                  std::pair(&answer_.authority, &stored.authority),
                                  std::pair(&answer_.additional, &stored.additional)}) {
    ASSERT_EQ(got->size(), want->size());
    for (size_t i = 0; i < got->size(); ++i) {
      EXPECT_EQ((*got)[i].owner, (*want)[i].owner);
      EXPECT_EQ((*got)[i].type, (*want)[i].type);
      EXPECT_EQ((*got)[i].rdata, (*want)[i].rdata);
      EXPECT_EQ((*got)[i].ttl_s, (*want)[i].ttl_s - 99);
    }
  }
  EXPECT_EQ(answer_.answer[0].owner.ToText(), "WWW.Example.") << "spelled as asked this time";
  EXPECT_EQ(Find(www_, absl::Seconds(100)), CacheResult::kMiss);
}

TEST_F(AnswerCacheTest, AnswersOnlyTheQuestionThatWasAsked) {
  cache_.Insert(
      www_,
      MakeAnswer(Rcode::kNoError, {"www.example. 300 IN A 192.0.2.1"},
                 {"example. 300 IN NS bank.example."}, {"bank.example. 300 IN A 192.0.2.66"}),
      kStart);
  UpstreamQuestion checking_disabled = www_, dnssec_ok = www_, no_recursion = www_, chaos = www_;
  checking_disabled.checking_disabled = true;
  dnssec_ok.dnssec_ok = true;
  no_recursion.recursion_desired = false;
  chaos.qclass = RrClass::kChaos;
  for (const UpstreamQuestion& other :
       {Ask("bank.example."), Ask("example.", RrType::kNs), Ask("www.example.", RrType::kAaaa),
        Ask("x.www.example."), checking_disabled, dnssec_ok, no_recursion, chaos}) {
    EXPECT_EQ(Find(other, absl::Seconds(1)), CacheResult::kMiss) << other.qname.ToText();
  }
  EXPECT_EQ(Find(www_, absl::Seconds(1)), CacheResult::kHit);
}

TEST_F(AnswerCacheTest, ATtlHandedOutOutlivesNoBound) {
  cache_.Insert(www_, MakeAnswer(Rcode::kNxDomain, {}, {kSoa}), kStart);
  ASSERT_EQ(Find(www_, absl::Seconds(20)), CacheResult::kHit);
  EXPECT_EQ(answer_.rcode, Rcode::kNxDomain);
  // RFC 2308 section 5: the SOA goes out with what is left of the negative TTL.
  EXPECT_EQ(answer_.authority.at(0).ttl_s, 40u);

  InsertAddress(www_, 2'000'000);
  ASSERT_EQ(Find(www_, absl::Seconds(0)), CacheResult::kHit);
  EXPECT_EQ(answer_.answer.at(0).ttl_s, 86400u);
}

TEST_F(AnswerCacheTest, WhatIsNotKeptRemovesNothing) {
  InsertAddress(www_, 300);
  cache_.Insert(www_, MakeAnswer(Rcode::kNxDomain, {}), kStart);
  EXPECT_EQ(Find(www_, absl::Seconds(1)), CacheResult::kHit);
}

TEST_F(AnswerCacheTest, AFailureIsRememberedForSeconds) {
  cache_.InsertFailure(www_, kStart);
  ASSERT_EQ(Find(www_, absl::Milliseconds(4999)), CacheResult::kFailed);
  EXPECT_EQ(answer_.rcode, Rcode::kServFail);
  EXPECT_FALSE(answer_.stale);
  EXPECT_EQ(Find(www_, kFailureLifetime), CacheResult::kMiss);
  InsertAddress(www_, 300, absl::Seconds(1));
  EXPECT_EQ(Find(www_, absl::Seconds(2)), CacheResult::kHit) << "an answer ends the failure";
  EXPECT_EQ(cache_.size(), 1u);
}

TEST_F(AnswerCacheTest, AFailureThatGoesOnIsRememberedForLonger) {
  absl::Duration at;
  for (const int want_s : {5, 10, 20, 40, 40}) {
    cache_.InsertFailure(www_, kStart + at);
    at += absl::Seconds(want_s);
    EXPECT_EQ(Find(www_, at - absl::Milliseconds(1)), CacheResult::kFailed) << want_s;
    EXPECT_EQ(Find(www_, at), CacheResult::kMiss) << want_s;
  }
  at += kFailureLifetimeMax;
  cache_.InsertFailure(www_, kStart + at);
  EXPECT_EQ(Find(www_, at + kFailureLifetime), CacheResult::kMiss) << "long past: as the first one";
}

TEST_F(AnswerCacheTest, AnAnswerThatIsNotKeptEndsTheOneBefore) {
  InsertAddress(www_, 60);
  cache_.Insert(www_, MakeAnswer(Rcode::kNxDomain, {}, {}), kStart + absl::Seconds(70));
  EXPECT_FALSE(cache_.FindStale(www_, kStart + absl::Seconds(80), answer_))
      << "a name that is no more does not come back as a stale one (RFC 8767 section 4)";
  EXPECT_EQ(cache_.size(), 0u);
}

TEST_F(AnswerCacheTest, IsFlushedWhollyOrBelowAName) {
  const auto fill = [this] {
    for (const char* name : {"www.example.", "a.www.example.", "example.", "wwww.example."}) {
      InsertAddress(Ask(name), 300);
    }
    cache_.InsertFailure(Ask("b.WWW.example.", RrType::kMx), kStart);
  };
  fill();
  EXPECT_EQ(cache_.Flush(*Name::FromText("Www.Example.")), 3u);
  EXPECT_EQ(Find(Ask("www.example."), absl::Seconds(1)), CacheResult::kMiss);
  EXPECT_EQ(Find(Ask("wwww.example."), absl::Seconds(1)), CacheResult::kHit);
  EXPECT_EQ(cache_.Flush(*Name::FromText("other.example.")), 0u);
  fill();
  EXPECT_EQ(cache_.Flush(), 5u);
  EXPECT_EQ(cache_.size(), 0u);
  EXPECT_EQ(cache_.octets(), 0u);
  EXPECT_EQ(cache_.counters().flushed.value(), 8u);
}

TEST_F(AnswerCacheTest, ServesStaleOnlyWhenUpstreamsFail) {
  InsertAddress(www_, 60);
  EXPECT_EQ(Find(www_, absl::Seconds(61)), CacheResult::kMiss);
  ASSERT_TRUE(cache_.FindStale(www_, kStart + absl::Seconds(61), answer_));
  EXPECT_TRUE(answer_.stale);
  EXPECT_EQ(answer_.answer.at(0).ttl_s, kStaleTtl_s);

  // Known to fail: stale at once, until it is time to look again.
  cache_.InsertFailure(www_, kStart + absl::Seconds(61));
  ASSERT_EQ(Find(www_, absl::Seconds(62)), CacheResult::kFailed);
  EXPECT_TRUE(answer_.stale);
  EXPECT_EQ(Find(www_, absl::Seconds(61) + kStaleRecheck), CacheResult::kMiss);

  const absl::Time end = kStart + absl::Seconds(60) + kStaleLifetime;
  EXPECT_TRUE(cache_.FindStale(www_, end - absl::Seconds(1), answer_));
  EXPECT_FALSE(cache_.FindStale(www_, end, answer_));
  EXPECT_FALSE(cache_.FindStale(Ask("other.example."), kStart, answer_));
}

TEST_F(AnswerCacheTest, AFailedPrefetchLeavesTheAnswerFresh) {
  InsertAddress(www_, 60);
  cache_.InsertFailure(www_, kStart + absl::Seconds(55));
  ASSERT_EQ(Find(www_, absl::Seconds(56)), CacheResult::kHit);
  EXPECT_FALSE(answer_.stale);
}

TEST_F(AnswerCacheTest, APopularAnswerIsFetchedAgainBeforeItExpires) {
  InsertAddress(www_, 100);
  for (uint32_t i = 0; i < kPopularHits; ++i) {
    EXPECT_EQ(Find(www_, absl::Seconds(95)), CacheResult::kHit) << "not popular yet";
  }
  EXPECT_EQ(Find(www_, absl::Seconds(89)), CacheResult::kHit) << "not in its last tenth";
  EXPECT_EQ(Find(www_, absl::Seconds(90)), CacheResult::kPrefetch);
  EXPECT_EQ(Find(www_, absl::Seconds(91)), CacheResult::kHit) << "said once";

  InsertAddress(www_, 9, absl::Seconds(200));
  for (uint32_t i = 0; i < 2 * kPopularHits; ++i) {
    EXPECT_EQ(Find(www_, absl::Milliseconds(208900)), CacheResult::kHit) << "too short a life";
  }
}

TEST_F(AnswerCacheTest, EvictsTheLeastRecentlyUsedAtItsBound) {
  InsertAddress(Ask("n0.example."), 300);
  const size_t one = cache_.octets();
  cache_.SetOctetsMax(10 * one + one / 2);
  const auto name = [](int i) { return Ask("n" + std::to_string(i) + ".example."); };
  for (int i = 1; i < 10; ++i) InsertAddress(name(i), 300);
  EXPECT_EQ(Find(name(0), absl::Seconds(1)), CacheResult::kHit);
  InsertAddress(Ask("m0.example."), 300);
  EXPECT_EQ(Find(name(0), absl::Seconds(1)), CacheResult::kHit) << "used just now";
  EXPECT_EQ(Find(name(1), absl::Seconds(1)), CacheResult::kMiss) << "not used the longest";
  EXPECT_EQ(cache_.counters().evictions.value(), 1u);

  cache_.SetOctetsMax(one);
  EXPECT_EQ(cache_.size(), 1u);
  cache_.SetOctetsMax(0);
  InsertAddress(www_, 300);
  EXPECT_EQ(cache_.octets(), 0u);
}

TEST_F(AnswerCacheTest, FailuresHaveABoundOfTheirOwn) {
  cache_.SetOctetsMax(size_t{16} << 20);
  InsertAddress(www_, 300);
  for (size_t i = 0; i < kFailuresMax + 10; ++i) {
    cache_.InsertFailure(Ask("n" + std::to_string(i) + ".example."), kStart);
  }
  EXPECT_EQ(cache_.size(), kFailuresMax + 1);
  EXPECT_EQ(Find(Ask("n9.example."), absl::Seconds(1)), CacheResult::kMiss);
  EXPECT_EQ(Find(Ask("n10.example."), absl::Seconds(1)), CacheResult::kFailed);
  EXPECT_EQ(Find(www_, absl::Seconds(1)), CacheResult::kHit) << "failures push out no answer";
}

TEST_F(AnswerCacheTest, StaysWithinItsBoundWhateverComes) {
  constexpr size_t kOctetsMax = 20'000;
  cache_.SetOctetsMax(kOctetsMax);
  Random random(1);
  absl::Duration after;
  for (int i = 0; i < 20'000; ++i) {
    const UpstreamQuestion question = Ask("n" + std::to_string(random.Below(200)) + ".example.");
    after += absl::Milliseconds(random.Below(2000));
    switch (random.Below(4)) {
      case 0:
        InsertAddress(question, random.Below(400), after);
        break;
      case 1:
        cache_.InsertFailure(question, kStart + after);
        break;
      default:
        Find(question, after);
    }
    ASSERT_LE(cache_.octets(), kOctetsMax);
  }
  const CacheCounters& counters = cache_.counters();
  for (const Counter* counter : {&counters.hits, &counters.misses, &counters.evictions,
                                 &counters.stale, &counters.failures}) {
    EXPECT_GT(counter->value(), 0u);
  }
}

}  // namespace
}  // namespace pharos::dns
