#include "agent/checks/output.h"

#include <gtest/gtest.h>

namespace pharos::agent {
namespace {

TEST(OutputTail, KeepsTheEndAndSaysWhatWasDropped) {
  const struct {
    std::string_view shows;
    std::vector<std::string_view> added;
    std::string_view want;
  } kRows[] = {
      {"nothing", {}, ""},
      {"all that fits", {"ab", "cd"}, "abcd"},
      {"the end of pieces", {"ab", "cd", "e"}, "Captured 4 of 5 bytes\n...\nbcde"},
      {"the end of one long piece", {"abcdefghijkl"}, "Captured 4 of 12 bytes\n...\nijkl"},
      {"many pieces", {"abc", "def", "ghi", "jkl"}, "Captured 4 of 12 bytes\n...\nijkl"},
  };
  for (const auto& row : kRows) {
    OutputTail tail(4);
    for (const std::string_view text : row.added) tail.Add(text);
    EXPECT_EQ(tail.Text(), row.want) << row.shows;
  }
}

TEST(ToUtf8, ReplacesWhatIsNotUtf8) {
  EXPECT_EQ(ToUtf8("gr\xC3\xBC\xC3\x9F dich"), "gr\xC3\xBC\xC3\x9F dich");
  EXPECT_EQ(ToUtf8("a\xFF"
                   "b\xC3"),
            "a\xEF\xBF\xBD"
            "b\xEF\xBF\xBD");
}

}  // namespace
}  // namespace pharos::agent
