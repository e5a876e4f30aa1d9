#include "agent/config/hcl.h"

#include <gtest/gtest.h>

#include <string>

#include "agent/config/json_reader.h"

namespace pharos::agent {
namespace {

std::string Message(const absl::StatusOr<Value>& value) {
  return value.ok() ? "no error" : std::string(value.status().message());
}

TEST(ReadHcl, GivesTheTreeOfTheEquivalentJson) {
  const struct {
    std::string_view shows, hcl, json;
  } kRows[] = {
      {"nothing", "", "{}"},
      {"nothing but comments", "# a\n// b\n/* c\n d */", "{}"},
      {"the four scalars", "a = 1\nb = 1.5\nc = true\nd = \"x\"",
       R"({"a":1,"b":1.5,"c":true,"d":"x"})"},
      {"a block", "ports { dns = 8600 }", R"({"ports":{"dns":8600}})"},
      {"an object", "ports = {\n  dns = 8600\n}", R"({"ports":{"dns":8600}})"},
      {"several assignments on a line", R"(addresses { http = "0.0.0.0"  dns = "127.0.0.1" })",
       R"({"addresses":{"http":"0.0.0.0","dns":"127.0.0.1"}})"},
      {"commas between entries", "a { b = 1, c = 2, }", R"({"a":{"b":1,"c":2}})"},
      {"labels nest", R"(service "x" "y" { port = 1 })", R"({"service":{"x":{"y":{"port":1}}}})"},
      {"quoted keys", R"("a b" = 1 m { "*" = "5s" })", R"({"a b":1,"m":{"*":"5s"}})"},
      {"dots and dashes belong to a key", "a.b-c = 1", R"({"a.b-c":1})"},
      {"repeated blocks are a list", "s { a = 1 }\ns { a = 2 }\ns { a = 3 }",
       R"({"s":[{"a":1},{"a":2},{"a":3}]})"},
      {"of a repeated scalar the last counts", "a = 1\na = 2", R"({"a":2})"},
      {"lists, trailing comma, comments", "a = [1, 2, # two\n 3,\n]", R"({"a":[1,2,3]})"},
      {"an empty list", "a = []", R"({"a":[]})"},
      {"objects and lists in a list", R"(a = [{ b = 1 }, { b = 2 c = [true] }])",
       R"({"a":[{"b":1},{"b":2,"c":[true]}]})"},
      {"escapes", R"(a = "\n\t\"\\\u00e9\x41\101\U0001F600")", R"({"a":"\n\t\"\\éAA😀"})"},
      {"an interpolation stays, quotes and all", R"(a = "x${f("y")}z")",
       R"({"a":"x${f(\"y\")}z"})"},
      {"heredoc", "a = <<EOT\n one\ntwo\nEOT\nb = 1", R"({"a":" one\ntwo\n","b":1})"},
      {"heredoc without its indent", "a = <<-EOT\n    one\n\n      two\n    EOT\n",
       R"({"a":"one\n\n  two\n"})"},
      {"a line that is less indented keeps all", "a = <<-EOT\n  one\n    two\n    EOT\n",
       R"({"a":"  one\n    two\n"})"},
      {"an empty heredoc at the end of the file", "a = <<EOT\nEOT", R"({"a":""})"},
      {"a heredoc in a list", "a = [<<EOT\nx\nEOT\n, \"y\"]", R"({"a":["x\n","y"]})"},
      {"hexadecimal, octal, negative, exponents", "a=0x1F b=0755 c=-8 d=1e3 e=-1.5E-2 f=0",
       R"({"a":31,"b":493,"c":-8,"d":1000.0,"e":-0.015,"f":0})"},
      {"the ends of 64 bits", "a=9223372036854775807 b=-9223372036854775808",
       R"({"a":9223372036854775807,"b":-9223372036854775808})"},
      {"carriage returns are blanks", "a = 1\r\nb = 2\r\n", R"({"a":1,"b":2})"},
      {"a byte order mark is passed",
       "\xef\xbb\xbf"
       "a = 1",
       R"({"a":1})"},
      {"comment signs inside a text", R"(a = "http://x # y /* z")", R"({"a":"http://x # y /* z"})"},
  };
  for (const auto& row : kRows) {
    const auto got = ReadHcl(row.hcl, "f.hcl", 0);
    const auto want = ReadJson(row.json, "f.json", 0);
    ASSERT_TRUE(want.ok()) << row.shows << ": " << want.status();
    ASSERT_TRUE(got.ok()) << row.shows << ": " << got.status();
    EXPECT_TRUE(SameContent(*got, *want)) << row.shows;
  }
}

TEST(ReadHcl, SaysWhereAndWhatIsWrong) {
  const struct {
    std::string_view shows, hcl, want;
  } kRows[] = {
      {"no value", "a =\n", "f.hcl:2:1: end of file found; expected a value"},
      {"no =", "a 1", "f.hcl:1:4: end of file found; expected = or { after the key a"},
      {"a bare word", "server = yes",
       "f.hcl:1:10: \"yes\" is not a value; expected true, false, a number, a list, an object, or "
       "a text in quotes"},
      {"a bare duration", "\nttl = 10s",
       "f.hcl:2:7: \"10s\" is not a number; expected a whole number, a decimal number, or a text "
       "in "
       "quotes such as \"10s\""},
      {"a bare address", "a = 127.0.0.1",
       "f.hcl:1:5: \"127.0.0.1\" is not a number; expected a whole number, a decimal number, or a "
       "text in quotes such as \"127.0.0.1\""},
      {"beyond 64 bits", "a = 9223372036854775808",
       "f.hcl:1:5: \"9223372036854775808\" is not a number; expected a whole number, a decimal "
       "number, or a text in quotes such as \"9223372036854775808\""},
      {"a text that does not end", "a = \"x\n\"",
       "f.hcl:1:5: this text does not end; expected a closing \" on the same line"},
      {"an unknown escape", R"(a = "\q")",
       "f.hcl:1:6: an unknown escape; expected \\\\ \\\" \\n \\t \\r \\xNN or \\uNNNN"},
      {"an escaped surrogate", R"(a = "\ud800")", "f.hcl:1:6: this escape names no character"},
      {"a comment that does not end", "a = 1 /* x",
       "f.hcl:1:7: this comment does not end; expected */"},
      {"a block that does not end", "ports {\n dns = 1\n",
       "f.hcl:1:7: this object does not end; expected }"},
      {"a list that does not end", "a = [1,", "f.hcl:1:5: this list does not end; expected ]"},
      {"no comma in a list", "a = [1 2]",
       "f.hcl:1:8: \"2\" found; expected , or ] after an element of a list"},
      {"a brace too many", "a = 1\n}", "f.hcl:2:1: \"}\" found; expected a key"},
      {"a heredoc that does not end", "a = <<EOT\nx\n",
       "f.hcl:1:5: this heredoc does not end; expected a line with EOT"},
      {"a label before =", "a \"b\" = 1",
       "f.hcl:1:7: \"=\" found; expected { after the label of block a"},
      {"not UTF-8", "a = \"\xff\"", "f.hcl:1:6: an octet that is not UTF-8; expected UTF-8 text"},
      {"too deep", "a = [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
       "f.hcl:1:36: objects and lists are more than 32 deep"},
      {"an unexpanded template", "ports {\n  https = ${HTTPS_PORT}\n}",
       "f.hcl:2:11: ${HTTPS_PORT} looks like a template placeholder that was not filled in; render "
       "the file first, e.g. with envsubst"},
      {"an unexpanded shell variable", "a = $PORT",
       "f.hcl:1:5: $PORT looks like a template placeholder that was not filled in; render the file "
       "first, e.g. with envsubst"},
      {"an unexpanded mustache", "a = {{ port }}",
       "f.hcl:1:5: {{ port }} looks like a template placeholder that was not filled in; render the "
       "file first, e.g. with envsubst"},
  };
  for (const auto& row : kRows) {
    EXPECT_EQ(Message(ReadHcl(row.hcl, "f.hcl", 0)), row.want) << row.shows;
  }
}

TEST(ReadHcl, RemembersWhereKeysAndValuesStand) {
  const auto got = ReadHcl("a = 1\nports {\n  dns =\n   8600\n}", "f.hcl", 7);
  ASSERT_TRUE(got.ok()) << got.status();
  const Entry& dns = got->Find("ports")->map.at(0);
  EXPECT_EQ(AtPosition("f", dns.at, "key"), "f:3:3: key");
  EXPECT_EQ(AtPosition("f", dns.value.at, "value"), "f:4:4: value");
  EXPECT_EQ(dns.value.at.source, 7U);
}

TEST(ReadHcl, RefusesAFileThatIsTooLarge) {
  EXPECT_EQ(Message(ReadHcl(std::string(kConfigOctetsMax + 1, ' '), "f.hcl", 0)),
            "f.hcl:1:1: 1048577 octets; expected at most 1048576");
}

}  // namespace
}  // namespace pharos::agent
