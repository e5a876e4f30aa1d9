#include "base/go_duration.h"

#include <gtest/gtest.h>

namespace pharos {
namespace {

TEST(ParseGoDuration, ReadsWhatGoReads) {
  const struct {
    std::string_view text;
    absl::Duration want;
  } kRows[] = {
      {"0", absl::ZeroDuration()},
      {"-0", absl::ZeroDuration()},
      {"0s", absl::ZeroDuration()},
      {"300ms", absl::Milliseconds(300)},
      {"1.5h", absl::Minutes(90)},
      {"1m30s", absl::Seconds(90)},
      {"-2s", -absl::Seconds(2)},
      {"+2s", absl::Seconds(2)},
      {".5s", absl::Milliseconds(500)},
      {"5.s", absl::Seconds(5)},
      {"7us", absl::Microseconds(7)},
      {"7\xc2\xb5s", absl::Microseconds(7)},
      {"7\xce\xbcs", absl::Microseconds(7)},
      {"87600h", absl::Hours(87600)},
      {"0.100000000000000000000h", absl::Minutes(6)},
      {"9223372036854775807ns", absl::Nanoseconds(INT64_MAX)},
      {"-9223372036854775808ns", absl::Nanoseconds(INT64_MIN)},
  };
  for (const auto& row : kRows) {
    const auto got = ParseGoDuration(row.text);
    ASSERT_TRUE(got.ok()) << row.text << ": " << got.status();
    EXPECT_EQ(*got, row.want) << row.text;
  }
}

TEST(ParseGoDuration, RefusesInGosWords) {
  const struct {
    std::string_view text, want;
  } kRows[] = {
      {"", "time: invalid duration \"\""},
      {"10", "time: missing unit in duration \"10\""},
      {"1m30", "time: missing unit in duration \"1m30\""},
      {"5x", "time: unknown unit \"x\" in duration \"5x\""},
      {"5 s", "time: unknown unit \" s\" in duration \"5 s\""},
      {"abc", "time: invalid duration \"abc\""},
      {"-", "time: invalid duration \"-\""},
      {".s", "time: invalid duration \".s\""},
      {"9223372036854775808ns", "time: invalid duration \"9223372036854775808ns\""},
      {"99999999999999999999h", "time: invalid duration \"99999999999999999999h\""},
      {"9999999h9999999h", "time: invalid duration \"9999999h9999999h\""},
  };
  for (const auto& row : kRows) {
    const auto got = ParseGoDuration(row.text);
    ASSERT_FALSE(got.ok()) << row.text;
    EXPECT_EQ(std::string(got.status().message()), row.want) << row.text;
  }
}

TEST(FormatGoDuration, PrintsWhatGoPrintsAndReadsItBack) {
  const struct {
    absl::Duration duration;
    std::string_view want;
  } kRows[] = {
      {absl::ZeroDuration(), "0s"},
      {absl::Nanoseconds(7), "7ns"},
      {absl::Nanoseconds(1500), "1.5\xc2\xb5s"},
      {absl::Milliseconds(300), "300ms"},
      {absl::Milliseconds(1050), "1.05s"},
      {absl::Seconds(90), "1m30s"},
      {absl::Hours(72), "72h0m0s"},
      {-absl::Seconds(2), "-2s"},
      {absl::Nanoseconds(INT64_MIN), "-2562047h47m16.854775808s"},
  };
  for (const auto& row : kRows) {
    EXPECT_EQ(FormatGoDuration(row.duration), row.want);
    const auto back = ParseGoDuration(row.want);
    ASSERT_TRUE(back.ok()) << row.want;
    EXPECT_EQ(*back, row.duration) << row.want;
  }
}

}  // namespace
}  // namespace pharos
