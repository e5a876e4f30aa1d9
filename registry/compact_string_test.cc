#include "registry/compact_string.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace pharos::registry {
namespace {

std::string OfSize(size_t size) {
  std::string text;
  for (size_t i = 0; i < size; ++i) text.push_back(static_cast<char>('a' + i % 26));
  return text;
}

TEST(CompactString, IsWhatItWasMadeOfAtEachSize) {
  for (const size_t size : {0, 1, 14, 15, 16, 17, 255, 256, 5000}) {
    SCOPED_TRACE(size);
    const std::string text = OfSize(size);
    CompactString made = text;
    EXPECT_EQ(made, text);
    EXPECT_EQ(made.str(), text);
    EXPECT_EQ(made.size(), size);
    EXPECT_EQ(made.empty(), size == 0);

    const CompactString copy = made;
    const CompactString moved = std::move(made);
    EXPECT_EQ(copy, text);
    EXPECT_EQ(moved, copy);
    for (const size_t other : {0, 3, 15, 40}) {
      CompactString assigned = OfSize(other);
      assigned = copy;
      EXPECT_EQ(assigned, text) << "over " << other;
    }
  }
}

TEST(CompactString, KeepsAnyOctets) {
  const std::string zeros(3, '\0'), high(15, '\xff'), longer(16, '\x10');
  EXPECT_EQ(CompactString(zeros), zeros);
  EXPECT_EQ(CompactString(high), high);
  EXPECT_EQ(CompactString(longer), longer);
}

TEST(CompactString, IsSortedAsText) {
  std::vector<CompactString> texts{"b", "a much longer text than fits", "", "a", "\xff", "aa"};
  std::ranges::sort(texts);
  EXPECT_EQ(texts, (std::vector<CompactString>{"", "a", "a much longer text than fits", "aa", "b",
                                               "\xff"}));
  EXPECT_TRUE(texts[1] == "a" && texts[1] != "b" && texts[1] < texts[4]);
}

}  // namespace
}  // namespace pharos::registry
