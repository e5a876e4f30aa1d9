#include "base/published.h"

#include <gtest/gtest.h>

#include <array>
#include <thread>
#include <vector>

namespace pharos {
namespace {

// Counts how many of its kind live, and is torn if a reader ever sees half of it.
struct Counted {
  explicit Counted(int v, std::atomic<int>& alive) : live(alive) {
    values.fill(v);
    ++live;
  }
  ~Counted() {
    values.fill(-1);
    --live;
  }
  std::array<int, 64> values;
  std::atomic<int>& live;
};

bool IsWhole(const Counted& counted) {
  for (const int value : counted.values) {
    if (value != counted.values[0]) return false;
  }
  return counted.values[0] >= 0;
}

TEST(Published, ReadersNeverSeeHalfAChangeAndNothingIsLeftOver) {
  std::atomic<int> alive{0};
  {
    Published<Counted> published(std::make_unique<Counted>(0, alive));
    constexpr int kValues = 2000;
    std::atomic<bool> torn{false}, backwards{false};
    std::vector<std::thread> readers;
    readers.reserve(3);
    for (int i = 0; i < 3; ++i) {
      readers.emplace_back([&] {
        int last = 0;
        while (last < kValues) {
          const Published<Counted>::ReadGuard guard(published);
          if (!IsWhole(*guard)) torn = true;
          if (guard->values[0] < last) backwards = true;
          last = guard->values[0];
        }
      });
    }
    for (int i = 1; i <= kValues; ++i) published.Publish(std::make_unique<Counted>(i, alive));
    for (std::thread& reader : readers) reader.join();
    EXPECT_FALSE(torn);
    EXPECT_FALSE(backwards);
  }
  EXPECT_EQ(alive, 0);
}

TEST(Published, APinKeepsItsValueAndNoOther) {
  std::atomic<int> alive{0};
  {
    Published<Counted> published(std::make_unique<Counted>(0, alive));
    Published<Counted>::Pin pin;
    {
      const Published<Counted>::ReadGuard guard(published);
      pin = Published<Counted>::Pin(guard);
    }
    for (int i = 1; i <= 100; ++i) published.Publish(std::make_unique<Counted>(i, alive));
    // Grace periods end in liburcu's own time; all but the pinned and the current value go.
    while (published.retired_count() > 1) {
      published.Reclaim();
      std::this_thread::yield();
    }
    EXPECT_EQ(alive, 2);
    EXPECT_EQ(pin->values[0], 0);
    EXPECT_TRUE(IsWhole(*pin));
    std::thread([held = std::move(pin)] {}).join();  // Released on another thread.
    published.Reclaim();
    EXPECT_EQ(alive, 1);
  }
  EXPECT_EQ(alive, 0);
}

TEST(Published, ValuesAreFreedOnTheWritersThread) {
  static thread_local bool is_writer = false;
  static std::atomic<int> freed_elsewhere{0};
  struct Noting {
    ~Noting() {
      if (!is_writer) ++freed_elsewhere;
    }
  };
  is_writer = true;
  {
    Published<Noting> published(std::make_unique<Noting>());
    for (int i = 0; i < 50; ++i) published.Publish(std::make_unique<Noting>());
  }
  EXPECT_EQ(freed_elsewhere, 0);
}

}  // namespace
}  // namespace pharos
