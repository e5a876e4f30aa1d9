#include "dns/query.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "dns/judge.h"

namespace pharos::dns {
namespace {

// A query with an OPT record of `version` whose RDATA is `options` in hexadecimal digits.
std::vector<uint8_t> WithOptions(const std::string& options_hex, uint8_t version = 0) {
  std::vector<uint8_t> message = MakeQuery("web.service.consul.", RrType::kA);
  const std::string options = absl::HexStringToBytes(options_hex);
  message[11] = 1;  // One additional record.
  const std::vector<uint8_t> opt = {0,
                                    0,
                                    41,
                                    0x04,
                                    0xd0,
                                    0,
                                    version,
                                    0,
                                    0,
                                    static_cast<uint8_t>(options.size() >> 8),
                                    static_cast<uint8_t>(options.size())};
  message.insert(message.end(), opt.begin(), opt.end());
  message.insert(message.end(), options.begin(), options.end());
  return message;
}

std::string Zeros(size_t octets) { return std::string(2 * octets, '0'); }

TEST(ParseQuery, KnowsWellFormedOptions) {
  const struct {
    std::string_view shows;
    std::string options;
    ParseResult want;
  } kRows[] = {
      {"none", "", ParseResult::kQuery},
      {"an unknown one (RFC 6891 6.1.2)", "fde900020102", ParseResult::kQuery},
      {"an unknown one without data", "fde90000", ParseResult::kQuery},
      {"padding (RFC 7830)", "000c0004" + Zeros(4), ParseResult::kQuery},
      {"half an option's header", "fde900", ParseResult::kFormErr},
      {"an option past the end of OPT", "000c0005" + Zeros(4), ParseResult::kFormErr},
      {"a client cookie", "000a0008" + Zeros(8), ParseResult::kQuery},
      {"a whole cookie", "000a0018" + Zeros(24), ParseResult::kQuery},
      {"the longest cookie", "000a0028" + Zeros(40), ParseResult::kQuery},
      {"a cookie without data (RFC 7873 5.2.2)", "000a0000", ParseResult::kFormErr},
      {"a client cookie too short", "000a0007" + Zeros(7), ParseResult::kFormErr},
      {"a server cookie too short", "000a000f" + Zeros(15), ParseResult::kFormErr},
      {"a server cookie too long", "000a0029" + Zeros(41), ParseResult::kFormErr},
      {"a client subnet (RFC 7871 6)", "000800070001180 0c00002", ParseResult::kQuery},
      {"a subnet of IPv6",
       "0008000b00023800"
       "20010db8000000",
       ParseResult::kQuery},
      {"no subnet on purpose", "0008000400010000", ParseResult::kQuery},
      {"no subnet, of no family", "0008000400000000", ParseResult::kQuery},
      {"a subnet without a prefix", "000800020001", ParseResult::kFormErr},
      {"a prefix longer than the address", "0008000900012100c000020100", ParseResult::kFormErr},
      {"an address shorter than its prefix", "0008000600011800c000", ParseResult::kFormErr},
      {"an address longer than its prefix", "0008000800011800c0000201", ParseResult::kFormErr},
      {"bits beyond the prefix", "0008000700011700c00003", ParseResult::kFormErr},
      {"a family that is none", "0008000400030000", ParseResult::kFormErr},
  };
  for (const auto& row : kRows) {
    std::string digits;
    for (const char c : row.options) {
      if (c != ' ') digits.push_back(c);
    }
    Query query;
    EXPECT_EQ(ParseQuery(WithOptions(digits), query), row.want) << row.shows;
    // Who sends an OPT record gets one back, or would believe that we know no EDNS.
    EXPECT_TRUE(query.edns.has_value()) << row.shows;
    EXPECT_EQ(query.question.size(), 24U) << row.shows;
  }
}

TEST(ParseQuery, TakesWhatTheOptionsSay) {
  Query query;
  const std::vector<uint8_t> message = WithOptions(
      "00030000"
      "000b0000"
      "000a00080102030405060708"
      "000a0008ffffffffffffffff"
      "0008000700011800c00002");
  ASSERT_EQ(ParseQuery(message, query), ParseResult::kQuery);
  const Edns& edns = *query.edns;
  EXPECT_EQ(edns.udp_octets, 1232);
  EXPECT_TRUE(edns.wants_nsid);
  EXPECT_TRUE(edns.wants_keepalive);
  EXPECT_EQ(edns.client_subnet.size(), 7U);
  ASSERT_EQ(edns.cookie.size(), 8U);
  EXPECT_EQ(edns.cookie[0], 1) << "the first cookie counts (RFC 7873 section 5.2)";
}

TEST(ParseQuery, ReadsNoOptionsOfAnotherVersion) {
  Query query;
  ASSERT_EQ(ParseQuery(WithOptions("000a0001ff", 1), query), ParseResult::kQuery);
  EXPECT_EQ(query.edns->version, 1);
  EXPECT_TRUE(query.edns->cookie.empty());
}

TEST(ParseQuery, NeedsAQuestionUnlessACookieComes) {
  const struct {
    std::string_view shows;
    std::string options;
    ParseResult want;
  } kRows[] = {
      {"RFC 7873 section 5.4", "000a0008" + Zeros(8), ParseResult::kCookieOnly},
      {"RFC 9619 section 4", "", ParseResult::kFormErr},
      {"another option", "00030000", ParseResult::kFormErr},
  };
  for (const auto& row : kRows) {
    std::vector<uint8_t> message = WithOptions(row.options);
    message.erase(message.begin() + 12, message.begin() + 12 + 24);
    message[5] = 0;
    Query query;
    EXPECT_EQ(ParseQuery(message, query), row.want) << row.shows;
    EXPECT_TRUE(query.question.empty()) << row.shows;
  }
}

TEST(ParseQuery, ReadsAsMuchOfOtherOpcodesAsThereIs) {
  std::vector<uint8_t> message = WithOptions("");
  message[2] = 5 << 3 | 1;  // UPDATE, RD.
  message[3] = 0x10;        // CD, which means something in a query only.
  Query query;
  EXPECT_EQ(ParseQuery(message, query), ParseResult::kNotImp);
  EXPECT_EQ(query.opcode, 5);
  EXPECT_TRUE(query.recursion_desired);
  EXPECT_FALSE(query.checking_disabled);
  EXPECT_TRUE(query.edns.has_value());
  message.resize(20);
  EXPECT_EQ(ParseQuery(message, query), ParseResult::kNotImp);
  EXPECT_FALSE(query.edns.has_value());
  EXPECT_TRUE(query.question.empty());
}

}  // namespace
}  // namespace pharos::dns
