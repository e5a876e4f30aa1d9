#include "base/ring.h"

#include <gtest/gtest.h>

#include <thread>

namespace pharos {
namespace {

TEST(Ring, KeepsTheOrderAndRefusesWhatDoesNotFit) {
  Ring<int> ring(4);
  int value = 0;
  EXPECT_FALSE(ring.Pop(value));
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 4; ++i) EXPECT_TRUE(ring.Push(10 * round + i));
    EXPECT_FALSE(ring.Push(99));
    for (int i = 0; i < 4; ++i) {
      ASSERT_TRUE(ring.Pop(value));
      EXPECT_EQ(value, 10 * round + i);
    }
    EXPECT_FALSE(ring.Pop(value));
  }
}

TEST(Ring, HasRoomForAtLeastWhatWasAskedFor) {
  EXPECT_EQ(Ring<int>(5).capacity(), 8u);
  EXPECT_EQ(Ring<int>(1).capacity(), 1u);
}

TEST(Ring, BringsEverythingFromOneThreadToAnother) {
  constexpr int kCount = 100'000;
  Ring<int> ring(64);
  std::thread writer([&ring] {
    for (int i = 0; i < kCount; ++i) {
      while (!ring.Push(int{i})) std::this_thread::yield();
    }
  });
  for (int i = 0; i < kCount; ++i) {
    int value = -1;
    while (!ring.Pop(value)) std::this_thread::yield();
    ASSERT_EQ(value, i);
  }
  writer.join();
}

}  // namespace
}  // namespace pharos
