#include "cluster/gossip/suspicion.h"

#include <gtest/gtest.h>

namespace pharos::gossip {
namespace {

constexpr absl::Time kNow = absl::UnixEpoch();

TEST(Suspicion, TakesAsLongAsFewConfirmIt) {
  const struct {
    size_t nodes, confirmations;
    absl::Duration want;
  } kRows[] = {
      {2, 0, absl::Seconds(4)},  // Nobody could confirm it.
      {3, 0, absl::Seconds(4)},  {10, 0, absl::Seconds(24)},   {10, 1, absl::Milliseconds(11'381)},
      {10, 2, absl::Seconds(4)}, {1000, 0, absl::Seconds(72)}, {1000, 2, absl::Seconds(12)},
  };
  for (const auto& row : kRows) {
    Suspicion suspicion(Profile::Lan(), row.nodes, "a", kNow);
    for (size_t i = 0; i < row.confirmations; ++i) {
      EXPECT_TRUE(suspicion.Confirm(std::string(i + 1, 'x')));
    }
    EXPECT_EQ(suspicion.deadline() - kNow, row.want) << row.nodes << " " << row.confirmations;
  }
}

TEST(Suspicion, CountsEachAccuserOnceAndNoMoreThanNeeded) {
  Suspicion suspicion(Profile::Lan(), 10, "a", kNow);
  EXPECT_FALSE(suspicion.Confirm("a")) << "who accused first";
  EXPECT_TRUE(suspicion.Confirm("b"));
  EXPECT_FALSE(suspicion.Confirm("b"));
  EXPECT_TRUE(suspicion.Confirm("c"));
  EXPECT_FALSE(suspicion.Confirm("d"));
}

TEST(Suspicion, WaitsForTheTimeThatPassedWithoutUs) {
  Suspicion suspicion(Profile::Lan(), 3, "a", kNow);
  suspicion.Postpone(absl::Seconds(1));
  EXPECT_EQ(suspicion.deadline(), kNow + absl::Seconds(5));
}

}  // namespace
}  // namespace pharos::gossip
