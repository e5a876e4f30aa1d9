#include "cluster/server_choice.h"

#include <gtest/gtest.h>

#include <map>

#include "absl/strings/str_cat.h"

namespace pharos::cluster {
namespace {

TEST(ServerChoice, AgentsSpreadEvenlyAndAServerThatEndsBurdensAllOthers) {
  std::map<std::string, int> before, after;
  for (int i = 0; i < 3000; ++i) {
    ServerChoice choice(absl::StrCat("client-", i), {}, 0);
    for (const char* const address : {"10.0.0.1:8300", "10.0.0.2:8300", "10.0.0.3:8300"}) {
      choice.SetAlive(address, true, 1);
    }
    ++before[*choice.Pick(2)];
    choice.SetAlive("10.0.0.1:8300", false, 3);
    ++after[*choice.Pick(4)];
  }
  for (const auto& [address, count] : before) EXPECT_NEAR(count, 1000, 150) << address;
  EXPECT_EQ(after.size(), 2u);
  for (const auto& [address, count] : after) EXPECT_NEAR(count, 1500, 200) << address;
}

TEST(ServerChoice, OneThatFailedIsLeftAloneForLongerEachTime) {
  ServerChoice choice("client", {}, 0);
  choice.SetAlive("a:1", true, 0);
  uint64_t now = 1000, last = 0;
  for (int i = 0; i < 4; ++i) {
    choice.OnFailed("a:1", now);
    uint64_t waited = 0;
    while (!choice.Pick(now + waited)) ++waited;
    EXPECT_GT(waited, last);
    EXPECT_LE(waited, ServerChoice::kRetryMaxMs * 5 / 4);
    last = waited;
    now += waited;
  }
  choice.OnGood("a:1");
  EXPECT_EQ(choice.Pick(now), "a:1");
}

TEST(ServerChoice, ThoseToJoinAreTriedWhileNoServerIsKnown) {
  ServerChoice choice("client", {"host:8300"}, 2000);
  EXPECT_EQ(choice.Pick(1999), std::nullopt);
  EXPECT_EQ(choice.Pick(2000), "host:8300");
  choice.SetKnown({"10.0.0.1:8300"}, 2100);
  EXPECT_EQ(choice.Pick(2200), "10.0.0.1:8300");
  choice.SetAlive("10.0.0.1:8300", false, 2300);
  choice.OnFailed("10.0.0.1:8300", 2300);
  EXPECT_EQ(choice.Pick(2301), "host:8300");
}

TEST(ServerChoice, AgentsGoBackToTheirServerOnceItHasSettled) {
  ServerChoice choice("client", {}, 0);
  choice.SetAlive("10.0.0.1:8300", true, 0);
  choice.SetAlive("10.0.0.2:8300", true, 0);
  const std::string first = *choice.Pick(1);
  const std::string second = first == "10.0.0.1:8300" ? "10.0.0.2:8300" : "10.0.0.1:8300";
  choice.SetAlive(first, false, 10);
  EXPECT_EQ(choice.Pick(11), second);
  choice.SetAlive(first, true, 1000);
  EXPECT_EQ(choice.Better(second, 1001), std::nullopt);
  EXPECT_EQ(choice.Better(second, 1000 + ServerChoice::kSettledMs), first);
  EXPECT_EQ(choice.Better(first, 1000 + ServerChoice::kSettledMs), std::nullopt);
}

}  // namespace
}  // namespace pharos::cluster
