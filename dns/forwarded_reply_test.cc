#include "dns/forwarded_reply.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "base/random.h"
#include "dns/judge.h"
#include "dns/upstream_test_message.h"

namespace pharos::dns {
namespace {

std::vector<std::string> Sorted(std::vector<std::string> texts) {
  std::sort(texts.begin(), texts.end());
  return texts;
}

class ForwardedReplyTest : public ::testing::Test {
 protected:
  ForwardedReplyTest() { answer_.rcode = Rcode::kNoError; }
  void Ask(const std::string& name, RrType type, uint16_t edns_octets = 0) {
    request_ = MakeQuery(name, type, edns_octets);
    ASSERT_EQ(ParseQuery(request_, query_), ParseResult::kQuery);
  }
  void Add(std::vector<Record>& section, const std::vector<std::string>& texts) {
    for (const std::string& text : texts) section.push_back(MakeRecord(text));
  }
  Judged Write(size_t octets_max = kMessageOctetsMax, bool compression = true) {
    reply_.assign(kMessageOctetsMax, 0xff);
    const size_t octets = WriteForwardedReply(query_, answer_, octets_max, reply_, compression);
    EXPECT_LE(octets, octets_max);
    reply_.resize(octets);
    const std::optional<Judged> judged = Judge(reply_);
    EXPECT_TRUE(judged.has_value());
    return judged.value_or(Judged());
  }

  std::vector<uint8_t> request_;
  Query query_;
  UpstreamAnswer answer_;
  std::vector<uint8_t> reply_;
};

TEST_F(ForwardedReplyTest, CompressesNoNameWhereThatIsOff) {
  Ask("www.example.", RrType::kA);
  Add(answer_.answer, {"www.example. 300 IN CNAME web.example.", "web.example. 60 IN A 192.0.2.1"});
  const Judged with = Write();
  const Judged without = Write(kMessageOctetsMax, false);
  EXPECT_EQ(without.answer, with.answer);
  // `www.example.` and `web.example.` twice have 13 octets, each a pointer or more before.
  EXPECT_EQ(without.octets, with.octets + 11 + 7 + 11);
}

TEST_F(ForwardedReplyTest, SaysWhatTheUpstreamSaid) {
  Ask("www.example.", RrType::kA);
  const std::vector<std::string> answer = {"www.example. 300 IN CNAME web.example.",
                                           "web.example. 60 IN A 192.0.2.1",
                                           "web.example. 60 IN A 192.0.2.2"};
  const std::vector<std::string> authority = {
      "example. 900 IN NS ns.example.", "example. 900 IN SOA ns.example. root.example. 1 2 3 4 60",
      "example. 900 IN MX 10 mx.web.example."};
  const std::vector<std::string> additional = {
      "ns.example. 900 IN AAAA 2001:db8::1", "_a._tcp.example. 5 IN SRV 1 2 3 web.example.",
      "example. 5 IN TXT \"a\" \"b\"", "example. 5 IN CAA 0 issue \"ca.example\""};
  Add(answer_.answer, answer);
  Add(answer_.authority, authority);
  Add(answer_.additional, additional);
  answer_.authentic_data = true;

  const Judged judged = Write();
  EXPECT_EQ(judged.Status(), "NOERROR QR RD RA AD");
  EXPECT_EQ(judged.question, std::vector<std::string>{"www.example. IN A"});
  EXPECT_EQ(judged.answer, Sorted(answer));
  EXPECT_EQ(judged.authority, Sorted(authority));
  EXPECT_EQ(judged.additional, Sorted(additional));
  EXPECT_FALSE(judged.has_edns);
  EXPECT_EQ(LoadU16(reply_.data()), 0x1234);
  // A pointer instead of `example.` in 11 places.
  EXPECT_LT(reply_.size(), 330u);
}

TEST_F(ForwardedReplyTest, ShowsTheLetterCaseThatWasAsked) {
  Ask("wWw.eXample.", RrType::kA);
  Add(answer_.answer, {"www.example. 300 IN A 192.0.2.1"});
  const Judged judged = Write();
  EXPECT_EQ(judged.question, std::vector<std::string>{"wWw.eXample. IN A"});
  EXPECT_EQ(judged.answer, std::vector<std::string>{"wWw.eXample. 300 IN A 192.0.2.1"});
}

TEST_F(ForwardedReplyTest, OptComesOnlyWhenAsked) {
  Ask("www.example.", RrType::kA, 4096);
  query_.edns->dnssec_ok = true;
  answer_.rcode = Rcode::kBadVers;
  const Judged judged = Write();
  EXPECT_TRUE(judged.has_edns);
  EXPECT_TRUE(judged.dnssec_ok);
  EXPECT_EQ(judged.rcode, 16);

  Ask("www.example.", RrType::kA);
  EXPECT_EQ(Write().Status(), "SERVFAIL QR RD RA") << "there is no place for the upper bits";
}

TEST_F(ForwardedReplyTest, FailureIsServfailWithTheQuestion) {
  Ask("www.example.", RrType::kA, 1232);
  answer_.rcode = Rcode::kServFail;
  const Judged judged = Write();
  EXPECT_EQ(judged.Status(), "SERVFAIL QR RD RA");
  EXPECT_EQ(judged.question.size(), 1u);
  EXPECT_TRUE(judged.has_edns);
}

TEST_F(ForwardedReplyTest, IsCutBetweenRrsets) {
  const auto addresses = [](const char* name, int count) {
    std::vector<std::string> texts;
    texts.reserve(static_cast<size_t>(count));
    for (int i = 0; i < count; ++i)
      texts.push_back(absl::StrFormat("%s 9 IN A 192.0.2.%d", name, i));
    return texts;
  };
  const std::string soa = "example. 900 IN SOA ns.example. root.example. 1 2 3 4 60";
  const struct {
    std::string_view shows;
    Rcode rcode;
    std::vector<std::string> answer, authority, additional;
    std::string_view want_status;
    std::array<size_t, 3> want_counts;
  } kRows[] = {
      {"additional goes first, and silently",
       Rcode::kNoError,
       addresses("www.example.", 20),
       {"example. 9 IN NS ns.example."},
       addresses("ns.example.", 20),
       "NOERROR QR RD RA",
       {20, 1, 0}},
      {"what follows the RRset that does not fit is left out too",
       Rcode::kNoError,
       addresses("www.example.", 1),
       {},
       {"a.example. 9 IN A 192.0.2.1",
        "b.example. 9 IN TXT \"" + std::string(250, 'x') + "\" \"" + std::string(250, 'y') + "\"",
        "c.example. 9 IN A 192.0.2.1"},
       "NOERROR QR RD RA",
       {1, 0, 1}},
      {"an answer RRset that does not fit leaves none of it, and TC",
       Rcode::kNoError,
       addresses("www.example.", 40),
       {"example. 9 IN NS ns.example."},
       {},
       "NOERROR QR TC RD RA",
       {0, 0, 0}},
      {"RRsets before it stay",
       Rcode::kNoError,
       {"www.example. 9 IN CNAME w.example.",
        "w.example. 9 IN TXT \"" + std::string(255, 'x') + "\" \"" + std::string(255, 'y') + "\""},
       {},
       {},
       "NOERROR QR TC RD RA",
       {1, 0, 0}},
      {"a negative answer needs its SOA",
       Rcode::kNxDomain,
       {"www.example. 9 IN CNAME w.example.", "www.example. 9 IN TXT \"" + std::string(230, 'x') +
                                                  "\" \"" + std::string(200, 'y') + "\""},
       {soa},
       {},
       "NXDOMAIN QR TC RD RA",
       {2, 0, 0}},
  };
  for (const auto& row : kRows) {
    Ask("www.example.", RrType::kA);
    answer_ = UpstreamAnswer();
    answer_.rcode = row.rcode;
    Add(answer_.answer, row.answer);
    Add(answer_.authority, row.authority);
    Add(answer_.additional, row.additional);
    const Judged judged = Write(kPlainUdpOctetsMax);
    EXPECT_EQ(judged.Status(), row.want_status) << row.shows;
    EXPECT_EQ((std::array{judged.answer.size(), judged.authority.size(), judged.additional.size()}),
              row.want_counts)
        << row.shows;
  }
}

TEST_F(ForwardedReplyTest, EverySizeLimitIsKeptWithRoomForOpt) {
  Ask("www.example.", RrType::kNs, 1232);
  for (int i = 0; i < 30; ++i) {
    Add(answer_.answer, {absl::StrFormat("n%d.www.example. 9 IN NS a%d.ns.example.", i, i)});
  }
  for (size_t octets_max = 60; octets_max < 1300; ++octets_max) {
    const Judged judged = Write(octets_max);
    EXPECT_TRUE(judged.has_edns);
    EXPECT_EQ(judged.flags.find("TC") != std::string::npos, judged.answer.size() < 30);
  }
}

TEST_F(ForwardedReplyTest, NamesBeyondThePointersReachAreWrittenOut) {
  Ask("www.example.", RrType::kNs);
  std::vector<std::string> want;
  want.reserve(2000);
  for (int i = 0; i < 2000; ++i) {
    want.push_back(
        absl::StrFormat("n%d.www.example. 9 IN NS a%d.ns%d.example.", i, i % 7, i % 300));
  }
  Add(answer_.answer, want);
  EXPECT_EQ(Write().answer, Sorted(want));
  EXPECT_GT(reply_.size(), 0x4000u);
}

}  // namespace
}  // namespace pharos::dns
