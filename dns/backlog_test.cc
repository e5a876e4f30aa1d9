#include "dns/backlog.h"

#include <gtest/gtest.h>

#include <string_view>

#include "base/clock.h"

namespace pharos::dns {
namespace {

TEST(Backlog, AsksForArrivalTimesFromATurnThatDoesNotEmptyTheQueueOn) {
  ManualClock clock;
  Backlog backlog;
  EXPECT_FALSE(backlog.OnTurn(true, clock.Now()));
  EXPECT_TRUE(backlog.OnTurn(false, clock.Now()));
  clock.Advance(Backlog::kAfterglow - absl::Milliseconds(1));
  EXPECT_TRUE(backlog.OnTurn(true, clock.Now())) << "it may come again any moment";
  EXPECT_TRUE(backlog.OnTurn(false, clock.Now()));
  clock.Advance(Backlog::kAfterglow - absl::Milliseconds(1));
  EXPECT_TRUE(backlog.OnTurn(true, clock.Now())) << "the time counts from the last one";
  clock.Advance(absl::Milliseconds(1));
  EXPECT_FALSE(backlog.OnTurn(true, clock.Now()));
  EXPECT_FALSE(backlog.OnTurn(true, clock.Now()));
}

TEST(Backlog, AClockThatIsSetBackEndsIt) {
  ManualClock clock;
  Backlog backlog;
  EXPECT_TRUE(backlog.OnTurn(false, clock.Now()));
  clock.Advance(absl::Hours(-1));
  EXPECT_FALSE(backlog.OnTurn(true, clock.Now()));
}

TEST(Backlog, ShedsWhatHasWaitedTooLong) {
  const absl::Time now = ManualClock().Now();
  const struct {
    std::string_view shows;
    absl::Duration waited;
    bool want;
  } kRows[] = {
      {"what has just come is answered", absl::ZeroDuration(), false},
      {"what clients still wait for, too", absl::Milliseconds(249), false},
      {"from here on it is shed", absl::Milliseconds(250), true},
      {"and later", absl::Seconds(59), true},
      {"but this is a clock that was set forward", absl::Minutes(1), false},
      {"and this one that was set back", absl::Seconds(-5), false},
  };
  for (const auto& row : kRows) {
    EXPECT_EQ(Backlog::IsTooOld(now - row.waited, now), row.want) << row.shows;
  }
}

}  // namespace
}  // namespace pharos::dns
