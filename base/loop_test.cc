#include "base/loop.h"

#include <gtest/gtest.h>

#include <atomic>
#include <latch>

namespace pharos {
namespace {

TEST(Loop, RunsWorkInTheOrderPostedOnItsOwnThread) {
  Loop loop("test");
  std::vector<int> order;
  bool own_thread = false;
  for (int i = 0; i < 100; ++i) loop.Post([&order, i] { order.push_back(i); });
  loop.PostAndWait([&] { own_thread = loop.IsCurrentThread(); });
  EXPECT_TRUE(own_thread);
  ASSERT_EQ(order.size(), 100u);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST(Loop, StopRunsWhatWasPostedAndNothingLater) {
  Loop loop("test");
  std::atomic<int> ran{0};
  // Work that posts more work on its way out is still served.
  loop.Post([&] { loop.Post([&] { ++ran; }); });
  loop.Stop();
  EXPECT_EQ(ran, 1);
  EXPECT_FALSE(loop.Post([&] { ++ran; }));
  EXPECT_EQ(ran, 1);
}

TEST(LoopTimer, FiresUntilItIsCancelledOrGone) {
  Loop loop("test");
  std::unique_ptr<LoopTimer> every, once, never;
  std::latch done(1);
  int ticks = 0;
  loop.Post([&] {
    every = std::make_unique<LoopTimer>(loop.uv());
    once = std::make_unique<LoopTimer>(loop.uv());
    never = std::make_unique<LoopTimer>(loop.uv());
    never->Once(absl::ZeroDuration(), [&] { ticks = 1000; });
    never->Cancel();
    every->Every(absl::Milliseconds(1), [&] {
      if (++ticks < 3) return;
      every->Cancel();
      once->Once(absl::ZeroDuration(), [&] { done.count_down(); });
    });
  });
  done.wait();
  loop.PostAndWait([&] {
    every.reset();
    once.reset();
    never.reset();
  });
  loop.Stop();
  EXPECT_EQ(ticks, 3);
}

}  // namespace
}  // namespace pharos
