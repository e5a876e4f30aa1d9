#include "http/filter/parse.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "http/filter/record_schemas.h"

namespace pharos::http {
namespace {

std::string ErrorOf(std::string_view text) {
  const auto filter = ParseFilter(text, kServiceSchema);
  if (filter.ok()) return "no error";
  EXPECT_EQ(filter.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(filter.status().message());
}

// `count` times `text`, with `between` in between.
std::string Repeated(std::string_view text, size_t count, std::string_view between = "") {
  std::string all;
  for (size_t i = 0; i < count; ++i) all.append(i == 0 ? "" : between).append(text);
  return all;
}

TEST(ParseFilter, NamesThePlaceOfAnErrorAndWhatWasExpected) {
  const struct {
    std::string_view text, want;
  } kRows[] = {
      {" ", "1:2 (1): no match found, expected: value"},
      {"Port", "1:5 (4): no match found, expected: \"==\", \"!=\""},
      {"Port =", "1:6 (5): no match found, expected: \"==\""},
      {"Port ==", "1:8 (7): no match found, expected: value"},
      {"Port == 80 80", "1:12 (11): no match found, expected: \"and\", \"or\" or EOF"},
      {"Port == 80\nand\n é", "3:2 (16): no match found"},
      {"Service == \"é\" x", "1:16 (16): no match found"},
      {"Port == 80 or", "1:14 (13): no match found"},
      {"Port == 80 and or", "1:18 (17): no match found"},
      {"not", "1:4 (3): no match found"},
      {"()", "1:2 (1): no match found"},
      {"(Port == 80", "1:12 (11): Unmatched parentheses"},
      {"Port == 80)", "1:11 (10): no match found"},
      {"Port == 080", "1:12 (11): Invalid number literal"},
      {"Port == 80and Port == 81", "1:11 (10): Invalid number literal"},
      {"Port == 1.", "1:11 (10): Invalid number literal"},
      {"Port == -", "1:10 (9): Invalid number literal"},
      {"Kind == \"x", "1:9 (8): Unterminated string literal"},
      {"Kind == \"x\\", "1:11 (10): invalid escape"},
      {"Kind == \"x\\q\"", "1:11 (10): invalid escape"},
      {"Kind == \"x\ny\"", "1:11 (10): a \"string\" cannot span lines"},
      {"Kind == `x", "1:9 (8): Unterminated string literal"},
      {"Meta[x] == 1", "1:6 (5): Invalid index"},
      {"Meta[\"x\" == 1", "1:10 (9): Unclosed index expression"},
      {"Meta. == 1", "1:6 (5): no match found, expected: [a-zA-Z] or [0-9]"},
      {"Meta._x == 1", "no match found, expected: [a-zA-Z] or [0-9]"},
      {"Tags is full", "1:9 (8): no match found, expected: \"empty\" or \"not empty\""},
      {"Tags is not full", "1:13 (12): no match found, expected: \"empty\""},
      {"Tags not x", "1:10 (9): no match found, expected: \"contains\", \"in\" or \"matches\""},
      {"\"x\" == Kind", "1:5 (4): no match found, expected: \"in\" or \"not in\""},
      {"1 not Tags", "1:7 (6): no match found, expected: \"in\""},
      {"x in \"Tags\"", "1:6 (5): no match found, expected: selector"},
      {"x inTags", "1:3 (2): no match found"},
      {"Kind === x", "1:8 (7): no match found, expected: value"},
  };
  for (const auto& row : kRows) {
    EXPECT_THAT(ErrorOf(row.text), testing::HasSubstr(row.want)) << row.text;
  }
}

TEST(ParseFilter, RefusesWhatTheSchemaDoesNotKnow) {
  const struct {
    std::string_view text, want;
  } kRows[] = {
      {"Bogus == 1", R"(Selector "Bogus" is not valid)"},
      {"port == 1", R"(Selector "port" is not valid)"},
      {"x in Bogus.Tags", R"(Selector "Bogus" is not valid)"},
      {"Weights.Bogus == 1", R"(Selector "Weights.Bogus" is not valid)"},
      {"Port.x == 1", R"(Selector "Port.x" is not valid)"},
      {"Tags.x == 1", R"(Selector "Tags.x" is not valid)"},
      {"Meta.a.b.c == 1", R"(Selector "Meta.a.b" is not valid)"},
      {"TaggedAddresses.lan.Bogus == 1", R"(Selector "TaggedAddresses.lan.Bogus" is not valid)"},
  };
  for (const auto& row : kRows) EXPECT_EQ(ErrorOf(row.text), row.want) << row.text;
}

TEST(ParseFilter, RefusesOperatorsThatDoNotFitTheField) {
  const struct {
    std::string_view text, want;
  } kRows[] = {
      {"8 in Port", R"(Invalid match operator "In" for selector "Port")"},
      {"Port not contains 8", R"(Invalid match operator "Not In" for selector "Port")"},
      {"Port is empty", R"(Invalid match operator "Is Empty" for selector "Port")"},
      {"Port matches 8", R"(Invalid match operator "Matches" for selector "Port")"},
      {"EnableTagOverride is not empty",
       R"(Invalid match operator "Is Not Empty" for selector "EnableTagOverride")"},
      {"Tags == blue", R"(Invalid match operator "Equal" for selector "Tags")"},
      {"Tags not matches blue", R"(Invalid match operator "Not Matches" for selector "Tags")"},
      {"Meta != x", R"(Invalid match operator "Not Equal" for selector "Meta")"},
      {"Weights is empty", R"(Invalid match operator "Is Empty" for selector "Weights")"},
      {"TaggedAddresses == x", R"(Invalid match operator "Equal" for selector "TaggedAddresses")"},
      {"TaggedAddresses.lan is empty",
       R"(Invalid match operator "Is Empty" for selector "TaggedAddresses.lan")"},
  };
  for (const auto& row : kRows) EXPECT_EQ(ErrorOf(row.text), row.want) << row.text;
  EXPECT_EQ(ParseFilter("x in Checks", kHealthServiceSchema).status().message(),
            R"(Invalid match operator "In" for selector "Checks")");
}

TEST(ParseFilter, RefusesValuesThatAreNotOfTheFieldsKind) {
  const struct {
    std::string_view text, want;
  } kRows[] = {
      {"Port == abc",
       R"(Failed to coerce value "abc" for selector "Port": expected an integer of 64 bits)"},
      {"Port == 1.5", R"(Failed to coerce value "1.5")"},
      {"Port == \"\"", R"(Failed to coerce value "")"},
      {"Port == \"8 \"", R"(Failed to coerce value "8 ")"},
      {"Port == \"--8\"", R"(Failed to coerce value "--8")"},
      {"Port == \"0x\"", R"(Failed to coerce value "0x")"},
      {"Port == \"08\"", R"(Failed to coerce value "08")"},
      {"Port == 9223372036854775808", R"(Failed to coerce value "9223372036854775808")"},
      {"Port == `-9223372036854775809`", R"(Failed to coerce value "-9223372036854775809")"},
      {"EnableTagOverride == yes",
       R"(Failed to coerce value "yes" for selector "EnableTagOverride": expected true or false)"},
      {"Kind matches `(`", R"(Failed to compile regular expression "(": "missing ): ()"},
  };
  for (const auto& row : kRows) {
    EXPECT_THAT(ErrorOf(row.text), testing::HasSubstr(row.want)) << row.text;
  }
}

TEST(ParseFilter, BoundsWhatAnExpressionMayCost) {
  const auto nested = [](size_t depth) {
    return Repeated("(", depth) + "Port==1" + Repeated(")", depth);
  };
  EXPECT_EQ(ErrorOf(nested(kFilterDepthMax)), "no error");
  EXPECT_THAT(ErrorOf(nested(kFilterDepthMax + 1)),
              testing::HasSubstr("more than 64 parentheses in one another"));
  EXPECT_EQ(ErrorOf(Repeated(nested(2), 100, " or ")), "no error") << "side by side is not deep";
  EXPECT_EQ(ErrorOf(Repeated("not ", 4'000) + "Port==1"), "no error");

  EXPECT_EQ(ErrorOf(Repeated("Port==1", kFilterMatchesMax, " or ")), "no error");
  EXPECT_EQ(ErrorOf(Repeated("Port==1", kFilterMatchesMax + 1, " or ")),
            "Number of match expressions exceeds the limit (1000)");

  EXPECT_EQ(ErrorOf(Repeated("Kind matches x", kFilterRegexesMax, " or ")), "no error");
  EXPECT_EQ(ErrorOf(Repeated("Kind matches x", kFilterRegexesMax + 1, " or ")),
            "Number of regular expressions exceeds the limit (16)");
  EXPECT_THAT(ErrorOf("Kind matches `((a{100}){100}){100}`"),
              testing::HasSubstr("Failed to compile regular expression"));
  EXPECT_THAT(ErrorOf("Kind matches `(\\pL{1,50}){1,19}`"),
              testing::HasSubstr("pattern too large"));

  const std::string text = "Kind == x";
  const std::string blanks(kFilterOctetsMax - text.size(), ' ');
  EXPECT_EQ(ErrorOf(text + blanks), "no error");
  EXPECT_EQ(ErrorOf(text + blanks + " "),
            "the expression has 16385 octets; expected at most 16384");
}

TEST(ParseFilter, ErrorsShowALongValueInPart) {
  const std::string error = ErrorOf("Port == " + Repeated("a", 10'000));
  EXPECT_THAT(error, testing::HasSubstr("aaa...\" for selector \"Port\""));
  EXPECT_LT(error.size(), 400u);
}

}  // namespace
}  // namespace pharos::http
