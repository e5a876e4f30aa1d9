#include "http/near.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pharos::http {
namespace {

using testing::ElementsAre;

gossip::Coordinate At(double seconds) {
  gossip::Coordinate coordinate;
  coordinate.vec[0] = seconds;
  return coordinate;
}

std::vector<std::string> Sorted(const Distances& distances, std::vector<std::string> names) {
  distances.Sort(names, [](const std::string& name) {
    registry::Node node;
    node.name = name;
    return node;
  });
  return names;
}

TEST(Distances, SortsByTheTimeOfARoundTrip) {
  const auto coordinates = std::make_shared<const Coordinates>(
      Coordinates{{"a", At(0.010)}, {"b", At(0.000)}, {"c", At(0.004)}});
  const std::vector<std::string> names = {"unknown", "A", "b", "C"};
  EXPECT_THAT(Sorted(Distances("b", coordinates), names), ElementsAre("b", "C", "A", "unknown"));
  EXPECT_THAT(Sorted(Distances("a", coordinates), names), ElementsAre("A", "C", "b", "unknown"));
  EXPECT_THAT(Sorted(Distances("", coordinates), names), ElementsAre("unknown", "A", "b", "C"));
}

TEST(Distances, OfANodeThatIsNotKnownPutItselfFirst) {
  const auto coordinates = std::make_shared<const Coordinates>(Coordinates{{"a", At(0)}});
  EXPECT_THAT(Sorted(Distances("x", coordinates), {"a", "b", "X"}), ElementsAre("X", "a", "b"));
  EXPECT_THAT(Sorted(Distances("x", nullptr), {"a", "x"}), ElementsAre("x", "a"));
}

}  // namespace
}  // namespace pharos::http
