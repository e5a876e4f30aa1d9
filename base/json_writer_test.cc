#include "base/json_writer.h"

#include "gtest/gtest.h"

namespace pharos {
namespace {

std::string Quoted(std::string_view text) {
  JsonWriter writer;
  writer.String(text);
  return writer.Take();
}

TEST(JsonWriter, EscapesStringsAsGoDoes) {
  const struct {
    std::string_view shows, text, want;
  } kRows[] = {
      {"plain", "redis", R"("redis")"},
      {"quotes and backslashes", R"(a"b\c)", R"("a\"b\\c")"},
      {"short escapes", "\n\r\t", R"("\n\r\t")"},
      {"other control characters", std::string_view("\x01\0", 2), R"("\u0001\u0000")"},
      {"what HTML would take for markup", "<a&b>", R"("\u003ca\u0026b\u003e")"},
      {"UTF-8 stays", "h\xC3\xA9", "\"h\xC3\xA9\""},
      {"what is no UTF-8, an octet at a time", "\xFF\xC3", R"("\ufffd\ufffd")"},
      {"an overlong form", "\xC0\xAF", R"("\ufffd\ufffd")"},
      {"line separators", "\xE2\x80\xA8\xE2\x80\xA9", R"("\u2028\u2029")"},
      {"DEL stays", "\x7F", "\"\x7F\""},
  };
  for (const auto& row : kRows) EXPECT_EQ(Quoted(row.text), row.want) << row.shows;
}

void WriteSample(JsonWriter& writer) {
  writer.BeginObject();
  writer.Field("Name", "a");
  writer.Key("Empty");
  writer.BeginArray();
  writer.EndArray();
  writer.Key("None");
  writer.BeginObject();
  writer.EndObject();
  writer.Key("List");
  writer.BeginArray();
  writer.Int(-1);
  writer.Bool(true);
  writer.Null();
  writer.EndArray();
  writer.EndObject();
}

TEST(JsonWriter, WritesCompactText) {
  JsonWriter writer;
  WriteSample(writer);
  EXPECT_EQ(writer.Take(), R"({"Name":"a","Empty":[],"None":{},"List":[-1,true,null]})");
}

TEST(JsonWriter, WritesIndentedTextWithEmptyContainersOnOneLine) {
  JsonWriter writer(JsonWriter::Style::kIndented);
  WriteSample(writer);
  EXPECT_EQ(writer.Take(), R"({
    "Name": "a",
    "Empty": [],
    "None": {},
    "List": [
        -1,
        true,
        null
    ]
}
)");
}

TEST(JsonWriter, WritesNumbersInFull) {
  JsonWriter writer;
  writer.BeginArray();
  writer.Uint(18446744073709551615ULL);
  writer.Double(0.5);
  writer.Double(1e-05);
  writer.Double(0.0 / 0.0);
  writer.EndArray();
  EXPECT_EQ(writer.Take(), "[18446744073709551615,0.5,1e-05,null]");
}

}  // namespace
}  // namespace pharos
