#include "tests/sim/linearizable.h"

#include <gtest/gtest.h>

#include <string_view>

namespace pharos::sim {
namespace {

Operation Write(int64_t value, uint64_t begun, uint64_t ended) {
  return {.is_write = true, .value = value, .begun = begun, .ended = ended};
}
Operation Read(int64_t value, uint64_t begun, uint64_t ended) {
  return {.is_write = false, .value = value, .begun = begun, .ended = ended};
}

TEST(IsLinearizable, TellsHistoriesThatCouldBeFromThoseThatCouldNot) {
  constexpr uint64_t kNever = Operation::kNever;
  const struct {
    std::string_view shows;
    std::vector<Operation> history;
    bool want;
  } kRows[] = {
      {"nothing happened", {}, true},
      {"a read of what was never written", {Read(1, 0, 1)}, false},
      {"a read after a write", {Write(1, 0, 1), Read(1, 2, 3)}, true},
      {"a stale read after a write", {Write(1, 0, 1), Read(0, 2, 3)}, false},
      {"either, while it is written", {Write(1, 0, 9), Read(0, 1, 2), Read(1, 3, 4)}, true},
      {"new, then old again", {Write(1, 0, 9), Read(1, 1, 2), Read(0, 3, 4)}, false},
      {"a write of unknown outcome that was seen late",
       {Write(1, 0, kNever), Read(0, 5, 6), Read(1, 7, 8)},
       true},
      {"a write of unknown outcome that was never seen",
       {Write(1, 0, kNever), Read(0, 5, 6)},
       true},
      {"an acknowledged write that was lost",
       {Write(1, 0, 1), Write(2, 2, 3), Read(1, 4, 5)},
       false},
      {"writes side by side, in either order",
       {Write(1, 0, 5), Write(2, 0, 5), Read(2, 6, 7), Read(2, 8, 9)},
       true},
      {"writes side by side, in both orders",
       {Write(1, 0, 5), Write(2, 0, 5), Read(2, 6, 7), Read(1, 8, 9)},
       false},
  };
  for (const auto& row : kRows) EXPECT_EQ(IsLinearizable(row.history, 0), row.want) << row.shows;
}

}  // namespace
}  // namespace pharos::sim
