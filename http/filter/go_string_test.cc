#include "http/filter/go_string.h"

#include "gtest/gtest.h"

namespace pharos::http {
namespace {

TEST(AppendGoEscape, ReadsEveryFormOfEscape) {
  const struct {
    std::string_view text, want;
    size_t length;
  } kRows[] = {
      {R"(\n)", "\n", 2},
      {R"(\"x)", "\"", 2},
      {R"(\\)", "\\", 2},
      {R"(\a\b)", "\a", 2},
      {R"(\x4142)", "A", 4},
      {R"(\377)", "\377", 4},
      {R"(\u00e9)", "\xc3\xa9", 6},
      {R"(\u20AC)", "\xe2\x82\xac", 6},
      {R"(\U0001F600)", "\xf0\x9f\x98\x80", 10},
  };
  for (const auto& row : kRows) {
    std::string out = ">";
    EXPECT_EQ(AppendGoEscape(row.text, out), row.length) << row.text;
    EXPECT_EQ(out, ">" + std::string(row.want)) << row.text;
  }
}

TEST(AppendGoEscape, RefusesWhatGoRefuses) {
  for (const std::string_view text :
       {R"(\)", R"(\')", R"(\q)", R"(\x4)", R"(\x4g)", R"(\400)", R"(\08)", R"(\12)", R"(\u-001)",
        R"(\uD800)", R"(\U00110000)", R"(\x+1)"}) {
    std::string out;
    EXPECT_EQ(AppendGoEscape(text, out), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace pharos::http
