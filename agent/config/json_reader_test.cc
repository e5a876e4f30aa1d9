#include "agent/config/json_reader.h"

#include <gtest/gtest.h>

#include <string>

namespace pharos::agent {
namespace {

TEST(ReadJson, TakesAnEmptyFileAsAnEmptyConfiguration) {
  for (const std::string_view text : {"", " \n\t", "{}"}) {
    const auto got = ReadJson(text, "f.json", 0);
    ASSERT_TRUE(got.ok()) << got.status();
    EXPECT_TRUE(got->is(Value::Kind::kMap) && got->map.empty());
  }
}

TEST(ReadJson, RemembersWhereKeysAndValuesStand) {
  const auto got =
      ReadJson("{\"a\" : [1, -2.5e3,\"x\\\"]\",\n true, null],\n  \"b\": {\"c\":{} , \"d\":  7}}",
               "f.json", 0);
  ASSERT_TRUE(got.ok()) << got.status();
  const struct {
    const Value* value;
    std::string_view want;
  } kRows[] = {
      {&*got, "f:1:1: "},
      {got->Find("a"), "f:1:8: "},
      {&got->Find("a")->list[0], "f:1:9: "},
      {&got->Find("a")->list[1], "f:1:12: "},
      {&got->Find("a")->list[2], "f:1:19: "},
      {&got->Find("a")->list[3], "f:2:2: "},
      {&got->Find("a")->list[4], "f:2:8: "},
      {got->FindPath("b"), "f:3:8: "},
      {got->FindPath("b.c"), "f:3:13: "},
      {got->FindPath("b.d"), "f:3:24: "},
  };
  for (const auto& row : kRows) EXPECT_EQ(AtPosition("f", row.value->at, ""), row.want);
  EXPECT_EQ(AtPosition("f", got->Find("b")->map[1].at, ""), "f:3:18: ");
}

TEST(ReadJson, KeepsTheLastOfTwoEqualKeys) {
  const auto got = ReadJson(R"({"a":1,"b":2,"a":3})", "f.json", 0);
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->map.size(), 2U);
  EXPECT_EQ(got->Find("a")->integer, 3);
}

TEST(ReadJson, SaysWhereAndWhatIsWrong) {
  std::string deep;
  for (int i = 0; i < 33; ++i) deep += "{\"a\":";
  const struct {
    std::string_view shows, json, want;  // want: how the message begins
  } kRows[] = {
      {"a bare word", "{\n  \"server\": yes}",
       "f.json:2:13: not JSON: syntax error while parsing value"},
      {"the end is missing", "{\"a\":1", "f.json:1:7: not JSON: syntax error while parsing object"},
      {"text after the end", "{}\n{}", "f.json:2:1: not JSON: syntax error"},
      {"not an object", "[1]", "f.json:1:1: the file holds a slice; expected an object"},
      {"not UTF-8", "{\"a\":\"\xff\"}", "f.json:1:7: not JSON: syntax error"},
      {"a number beyond any float", "{\"a\":1e999}", "f.json:1:"},
      {"too deep", deep, "f.json:1:161: objects and lists are more than 32 deep"},
      {"an unexpanded template", "{\"ports\": {\"https\": ${HTTPS_PORT}}}",
       "f.json:1:21: ${HTTPS_PORT} looks like a template placeholder that was not filled in"},
  };
  for (const auto& row : kRows) {
    const auto got = ReadJson(row.json, "f.json", 0);
    ASSERT_FALSE(got.ok()) << row.shows;
    EXPECT_TRUE(std::string(got.status().message()).starts_with(row.want))
        << row.shows << ": " << got.status();
  }
}

}  // namespace
}  // namespace pharos::agent
