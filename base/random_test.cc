#include "base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <vector>

namespace pharos {
namespace {

TEST(RandomTest, DrawsFromOneNumberAreAsGoodAsDrawsFromMany) {
  Random random(7);
  // Every order of five, which are few enough to count; the draws share numbers.
  constexpr int kRounds = 120'000;
  std::map<std::vector<uint32_t>, int> seen;
  Random::Draws draws(random);
  for (int round = 0; round < kRounds; ++round) {
    std::vector<uint32_t> drawn;
    for (uint32_t bound = 5; bound > 1; --bound) drawn.push_back(draws.Below(bound));
    ++seen[drawn];
  }
  ASSERT_EQ(seen.size(), 120u);
  const double expected = kRounds / 120.0;
  for (const auto& [drawn, times] : seen) {
    EXPECT_LT(drawn[0], 5u);
    EXPECT_NEAR(times, expected, 6 * std::sqrt(expected));
  }
}

TEST(RandomTest, DrawsReachEveryNumberBelowALargeBound) {
  Random random(11);
  Random::Draws draws(random);
  std::vector<uint64_t> eighths(8);
  for (int i = 0; i < 80'000; ++i) {
    const uint32_t drawn = draws.Below(4'000'000'000);
    ASSERT_LT(drawn, 4'000'000'000);
    ++eighths[drawn / 500'000'000];
  }
  for (const uint64_t times : eighths) EXPECT_NEAR(static_cast<double>(times), 10'000, 600);
}

TEST(RandomTest, SecureOctetsAreGivenOnce) {
  SecureRandomBuffer buffer;
  std::map<std::vector<uint8_t>, int> seen;
  // More than it takes from the kernel at a time, in pieces that do not divide that.
  for (int i = 0; i < 1000; ++i) {
    std::vector<uint8_t> octets(24);
    buffer.Fill(octets);
    EXPECT_EQ(++seen[octets], 1);
  }
  std::vector<uint8_t> large(100'000);
  buffer.Fill(large);
  for (size_t at = 0; at < large.size(); at += 1000) {
    EXPECT_FALSE(
        std::all_of(&large[at], &large[at] + 1000, [](uint8_t octet) { return octet == 0; }));
  }
}

}  // namespace
}  // namespace pharos
