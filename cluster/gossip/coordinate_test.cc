#include "cluster/gossip/coordinate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "absl/strings/str_format.h"

namespace pharos::gossip {
namespace {

Coordinate At(double x, double height = Coordinate::kHeightMin) {
  Coordinate coordinate;
  coordinate.vec[0] = x;
  coordinate.height = height;
  return coordinate;
}

TEST(EstimateRoundTrip, AddsDistanceHeightsAndAdjustments) {
  Coordinate a = At(0.001, 0.002), b = At(0.004, 0.003);
  EXPECT_NEAR(absl::ToDoubleMilliseconds(EstimateRoundTrip(a, b)), 8, 1e-5);
  a.adjustment = 0.001;
  EXPECT_NEAR(absl::ToDoubleMilliseconds(EstimateRoundTrip(a, b)), 9, 1e-5);
  // An adjustment that would make it negative does not count.
  a.adjustment = -1;
  EXPECT_NEAR(absl::ToDoubleMilliseconds(EstimateRoundTrip(a, b)), 8, 1e-5);
}

// Nodes on a line, 10 ms from one to the next: after a while each pair is estimated rightly.
TEST(CoordinateClient, LearnsALine) {
  constexpr size_t kNodes = 10;
  std::vector<CoordinateClient> clients;
  for (size_t i = 0; i < kNodes; ++i) clients.emplace_back(i + 1);
  const auto between = [](size_t a, size_t b) {
    return absl::Milliseconds(10) * std::abs(static_cast<int>(a) - static_cast<int>(b));
  };
  for (int round = 0; round < 1000; ++round) {
    for (size_t i = 0; i < kNodes; ++i) {
      const size_t j = (i + 1 + static_cast<size_t>(round) % (kNodes - 1)) % kNodes;
      ASSERT_TRUE(
          clients[i].Update(absl::StrFormat("n%d", j), clients[j].coordinate(), between(i, j)));
    }
  }
  double error_ms = 0;
  for (size_t i = 0; i < kNodes; ++i) {
    for (size_t j = 0; j < i; ++j) {
      const absl::Duration estimate =
          EstimateRoundTrip(clients[i].coordinate(), clients[j].coordinate());
      error_ms += std::abs(absl::ToDoubleMilliseconds(estimate - between(i, j)));
    }
  }
  EXPECT_LT(error_ms / (kNodes * (kNodes - 1) / 2.0), 2.0);
}

TEST(CoordinateClient, TakesTheMedianOfThreeRoundTrips) {
  CoordinateClient steady(1), disturbed(1);
  for (int i = 0; i < 3; ++i) {
    steady.Update("x", At(0.01), absl::Milliseconds(10));
    disturbed.Update("x", At(0.01), i == 2 ? absl::Seconds(9) : absl::Milliseconds(10));
  }
  EXPECT_EQ(steady.coordinate(), disturbed.coordinate());
}

TEST(CoordinateClient, RefusesWhatIsNotFiniteOrInRange) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  CoordinateClient client(1);
  const Coordinate before = client.coordinate();
  Coordinate bad = At(kNan);
  EXPECT_FALSE(client.Update("x", bad, absl::Milliseconds(1)));
  bad = At(1);
  bad.height = kInfinity;
  EXPECT_FALSE(client.Update("x", bad, absl::Milliseconds(1)));
  bad = At(1);
  bad.vec.pop_back();
  EXPECT_FALSE(client.Update("x", bad, absl::Milliseconds(1)));
  EXPECT_FALSE(client.Update("x", At(1), absl::Seconds(11)));
  EXPECT_FALSE(client.Update("x", At(1), -absl::Seconds(1)));
  EXPECT_EQ(client.coordinate(), before);
}

TEST(CoordinateClient, StartsOverWhereNumbersOverflow) {
  CoordinateClient client(1);
  const double huge = std::numeric_limits<double>::max();
  client.Update("x", At(huge), absl::Milliseconds(1));
  EXPECT_EQ(client.resets(), 1u);
  EXPECT_TRUE(client.coordinate().IsValid());
}

TEST(ParseCoordinate, WantsItsVersion) {
  const std::string packed = PackCoordinate(At(0.5));
  EXPECT_EQ(ParseCoordinate(packed), At(0.5));
  EXPECT_EQ(ParseCoordinate("\x02" + packed.substr(1)), std::nullopt);
  EXPECT_EQ(ParseCoordinate(""), std::nullopt);
  EXPECT_EQ(ParseCoordinate(packed.substr(0, packed.size() - 1)), std::nullopt);
}

}  // namespace
}  // namespace pharos::gossip
