#include "dns/loop_detection.h"

#include <gtest/gtest.h>

#include <array>

#include "dns/upstream_test_message.h"

namespace pharos::dns {
namespace {

constexpr std::array<uint8_t, LoopProbe::kNonceOctets> kNonce = {1, 2, 3, 4, 5, 6, 7, 8};

TEST(LoopProbe, KnowsItsOwnAndNoOther) {
  const LoopProbe probe("0123456789abcdef"), other("fedcba9876543210");
  const UpstreamQuestion question = probe.MakeQuestion(kNonce);
  EXPECT_EQ(question.qname.ToText(), "0102030405060708.0123456789abcdef.test.");
  EXPECT_TRUE(probe.IsOwn(question));
  EXPECT_TRUE(probe.IsOwn(Ask("0102030405060708.0123456789ABCDEF.Test.", RrType::kTxt)));
  EXPECT_FALSE(other.IsOwn(question));
  EXPECT_FALSE(probe.IsOwn(Ask("0123456789abcdef.test.", RrType::kTxt)));
  EXPECT_FALSE(probe.IsOwn(Ask("a.b.0123456789abcdef.test.", RrType::kTxt)));
  EXPECT_FALSE(probe.IsOwn(Ask("a.0123456789abcdef.test.", RrType::kA)));
  EXPECT_FALSE(LoopProbe("").IsOwn(Ask("a.test.", RrType::kTxt)));
  EXPECT_FALSE(LoopProbe("").enabled());

  const UpstreamAnswer answer = probe.MakeAnswer(question);
  EXPECT_TRUE(probe.IsOwnAnswer(answer));
  EXPECT_FALSE(other.IsOwnAnswer(answer));
  EXPECT_FALSE(probe.IsOwnAnswer(UpstreamAnswer()));
}

TEST(IsOwnSpelling, NeedsManyLettersAndEachAsSent) {
  const struct {
    std::string_view shows, sent, asked;
    bool want;
  } kRows[] = {
      {"the very letters", "wWw.LongEnoughToBeNoChance.exAMple.",
       "wWw.LongEnoughToBeNoChance.exAMple.", true},
      {"one letter differs", "wWw.LongEnoughToBeNoChance.exAMple.",
       "www.LongEnoughToBeNoChance.exAMple.", false},
      {"few letters may agree by chance", "wWw.exAMple.", "wWw.exAMple.", false},
      {"digits do not count", "wWw.1234567890123456789012345.exAMple.",
       "wWw.1234567890123456789012345.exAMple.", false},
  };
  for (const auto& row : kRows) {
    EXPECT_EQ(IsOwnSpelling(*Name::FromText(row.sent), *Name::FromText(row.asked)), row.want)
        << row.shows;
  }
}

}  // namespace
}  // namespace pharos::dns
