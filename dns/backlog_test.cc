#include "dns/backlog.h"

#include <gtest/gtest.h>

#include <string_view>

#include "base/clock.h"

namespace pharos::dns {
namespace {

// Turns of 512 datagrams: one that took a millisecond, and one after an absence.
constexpr Backlog::Turn kBusy{absl::Milliseconds(1), 512, 4 << 20};
constexpr Backlog::Turn kAfterAbsence{Backlog::kPatience, 512, 100 << 10};

TEST(Backlog, AsksForArrivalTimesWhenSomethingMayHaveWaitedLong) {
  const struct {
    std::string_view shows;
    Backlog::Turn turn;
    bool want;
  } kRows[] = {
      {"a busy server that keeps up does without, whatever its queue holds", kBusy, false},
      {"8,192 datagrams at 8 us each are soon answered",
       {absl::Milliseconds(4), 512, 4 << 20},
       false},
      {"at 16 us each the last of them waits too long",
       {absl::Milliseconds(8), 512, 4 << 20},
       true},
      {"a short queue does not", {absl::Milliseconds(8), 512, 256 << 10}, false},
      {"after an absence the queue is as old as that", kAfterAbsence, true},
  };
  for (const auto& row : kRows) {
    EXPECT_EQ(Backlog().OnFullTurn(row.turn, ManualClock().Now()), row.want) << row.shows;
  }
}

TEST(Backlog, AsksForAWhileAfterTheLastSign) {
  ManualClock clock;
  Backlog backlog;
  EXPECT_FALSE(backlog.OnEmptied(clock.Now()));
  EXPECT_TRUE(backlog.OnFullTurn(kAfterAbsence, clock.Now()));
  clock.Advance(Backlog::kAfterglow - absl::Milliseconds(1));
  EXPECT_TRUE(backlog.OnEmptied(clock.Now())) << "it may come again any moment";
  EXPECT_TRUE(backlog.OnFullTurn(kAfterAbsence, clock.Now()));
  clock.Advance(Backlog::kAfterglow - absl::Milliseconds(1));
  EXPECT_TRUE(backlog.OnFullTurn(kBusy, clock.Now())) << "the time counts from the last one";
  clock.Advance(absl::Milliseconds(1));
  EXPECT_FALSE(backlog.OnEmptied(clock.Now()));
  EXPECT_FALSE(backlog.OnEmptied(clock.Now()));
}

TEST(Backlog, AClockThatIsSetBackEndsIt) {
  ManualClock clock;
  Backlog backlog;
  EXPECT_TRUE(backlog.OnFullTurn(kAfterAbsence, clock.Now()));
  clock.Advance(absl::Hours(-1));
  EXPECT_FALSE(backlog.OnEmptied(clock.Now()));
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
