#include "dns/sample.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <vector>

namespace pharos::dns {
namespace {

// Positions 100, 101, ... with running sums of the weights.
struct Weighed {
  explicit Weighed(const std::vector<uint64_t>& weights) {
    for (const uint64_t weight : weights) {
      positions.push_back(static_cast<uint32_t>(100 + positions.size()));
      sums.push_back((sums.empty() ? 0 : sums.back()) + weight);
    }
  }
  Population population() const { return {positions, sums}; }

  std::vector<uint32_t> positions;
  std::vector<uint64_t> sums;
};

class SampleTest : public ::testing::Test {
 protected:
  std::vector<uint32_t> Draw(const Population& from, size_t count) {
    const std::span<const uint32_t> drawn = Sample(from, count, random_, scratch_);
    return {drawn.begin(), drawn.end()};
  }
  // How often each element is the first of a draw.
  std::map<uint32_t, int> CountFirst(const Population& from, size_t count, int times) {
    std::map<uint32_t, int> first;
    for (int i = 0; i < times; ++i) ++first[Draw(from, count).front()];
    return first;
  }

  Random random_{7};
  AnswerScratch scratch_;
};

TEST_F(SampleTest, DrawsDifferentElementsAndAsManyAsAsked) {
  for (const size_t size : {1U, 3U, 64U, 65U, 1000U}) {
    const Weighed equal(std::vector<uint64_t>(size, 1));
    std::vector<uint64_t> weights(size);
    for (size_t i = 0; i < size; ++i) weights[i] = i % 7;
    const Weighed unequal(weights);
    for (const Population& from :
         {Population{equal.positions}, equal.population(), unequal.population()}) {
      for (const size_t count : {size_t{0}, size_t{1}, size / 3, size}) {
        const std::vector<uint32_t> drawn = Draw(from, count);
        EXPECT_EQ(drawn.size(), count) << size;
        EXPECT_EQ(std::set<uint32_t>(drawn.begin(), drawn.end()).size(), count) << size;
        for (const uint32_t element : drawn) EXPECT_LT(element, 100 + size);
      }
    }
  }
}

TEST_F(SampleTest, ChancesAreByWeight) {
  // Few of few are drawn by keys, few of many by the sums: both with the chances of the weights.
  const Weighed few({1, 2, 7});
  const std::map<uint32_t, int> first = CountFirst(few.population(), 2, 10'000);
  EXPECT_NEAR(first.at(100), 1000, 150);
  EXPECT_NEAR(first.at(101), 2000, 200);
  EXPECT_NEAR(first.at(102), 7000, 250);

  std::vector<uint64_t> weights(200, 1);
  weights[5] = 200;
  const Weighed many(weights);
  EXPECT_NEAR(CountFirst(many.population(), 3, 10'000).at(105), 5012, 250);
}

TEST_F(SampleTest, TheLaterElementsAreDrawnByWeightToo) {
  const Weighed weighed({8, 1, 1});
  int heavy_is_second = 0;
  for (int i = 0; i < 10'000; ++i) heavy_is_second += Draw(weighed.population(), 2)[1] == 100;
  // Second after one of the light ones: 0.2 x 8/9.
  EXPECT_NEAR(heavy_is_second, 1778, 200);
}

TEST_F(SampleTest, WhatWeighsNothingComesLast) {
  const Weighed weighed({0, 3, 0, 1});
  std::set<uint32_t> last;
  for (int i = 0; i < 100; ++i) {
    const std::vector<uint32_t> drawn = Draw(weighed.population(), 4);
    EXPECT_THAT((std::set<uint32_t>{drawn[0], drawn[1]}), ::testing::ElementsAre(101, 103));
    last.insert(drawn[3]);
  }
  EXPECT_THAT(last, ::testing::ElementsAre(100, 102)) << "in random order among themselves";
  EXPECT_EQ(Draw(Weighed({0, 0}).population(), 2).size(), 2U);
}

TEST_F(SampleTest, OneThatWeighsAlmostEverythingDoesNotHoldUpTheOthers) {
  std::vector<uint64_t> weights(1000, 1);
  weights[0] = 1'000'000'000;
  EXPECT_EQ(Draw(Weighed(weights).population(), 10).size(), 10U);
}

TEST_F(SampleTest, RanksGoInOrderAndAreSampledEach) {
  const Weighed weighed({1, 1, 1, 1, 1, 1});
  const std::vector<uint8_t> ranks{2, 0, 2, 1, 2, 1};
  std::set<uint32_t> fourth;
  for (int i = 0; i < 100; ++i) {
    const auto drawn = SampleByRank({weighed.positions}, ranks, 4, random_, scratch_);
    ASSERT_EQ(drawn.size(), 4U);
    EXPECT_EQ(drawn[0], 101U);
    EXPECT_THAT((std::set<uint32_t>{drawn[1], drawn[2]}), ::testing::ElementsAre(103, 105));
    fourth.insert(drawn[3]);
  }
  EXPECT_THAT(fourth, ::testing::ElementsAre(100, 102, 104));
}

}  // namespace
}  // namespace pharos::dns
