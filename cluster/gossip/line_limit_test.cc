#include "cluster/gossip/line_limit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pharos::gossip {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

TEST(LineLimit, CountsWhatItHoldsBack) {
  const absl::Time start = absl::UnixEpoch();
  LineLimit lines;
  for (int i = 0; i < LineLimit::kLinesMax; ++i) EXPECT_TRUE(lines.MayWrite(start, "join"));
  EXPECT_FALSE(lines.MayWrite(start, "join"));
  EXPECT_FALSE(lines.MayWrite(start, "fail"));
  EXPECT_FALSE(lines.MayWrite(start, "join"));
  EXPECT_THAT(lines.TakeHeldBack(start), IsEmpty());
  const absl::Time later = start + absl::Seconds(1);
  EXPECT_FALSE(lines.MayWrite(later, "join")) << "not before the others were told of";
  EXPECT_THAT(lines.TakeHeldBack(later), ElementsAre(Pair("fail", 1), Pair("join", 3)));
  EXPECT_TRUE(lines.MayWrite(later, "join"));
}

}  // namespace
}  // namespace pharos::gossip
