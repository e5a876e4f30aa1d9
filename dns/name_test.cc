#include "dns/name.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace pharos::dns {
namespace {

using namespace std::string_literals;

std::string Wire(const Name& name) { return std::string(AsText(name.wire())); }

TEST(Name, ReadsPresentationForm) {
  const std::string label63(63, 'a');
  // 3 * 64 + 62 + the root = 255 octets, the most there can be.
  const std::string longest = label63 + "." + label63 + "." + label63 + "." + std::string(61, 'b');
  const struct {
    std::string_view shows;
    std::string text, want;  // want: wire form; empty: refused
  } kRows[] = {
      {"the root", ".", "\0"s},
      {"labels", "ns.Example", "\2ns\7Example\0"s},
      {"a final dot changes nothing", "ns.Example.", "\2ns\7Example\0"s},
      {"an escaped dot is part of its label", R"(a\.b.c)", "\3a.b\1c\0"s},
      {"an escaped backslash", R"(a\\b)", "\3a\\b\0"s},
      {"a decimal escape", R"(\000\255)", "\2\0\xff\0"s},
      {"octets above 127 as they are", "b\xc3\xbc", "\3b\xc3\xbc\0"s},
      {"nothing at all", "", ""},
      {"an empty label first", ".a", ""},
      {"an empty label inside", "a..b", ""},
      {"two final dots", "a..", ""},
      {"a decimal escape over 255", R"(\256)", ""},
      {"a decimal escape cut short", R"(\25)", ""},
      {"an escape of nothing", "a\\", ""},
      {"a label of 63", label63, "\x3f" + label63 + "\0"s},
      {"a label of 64", label63 + "a", ""},
      {"a name of 256 octets", longest + "b", ""},
  };
  for (const auto& row : kRows) {
    const std::optional<Name> name = Name::FromText(row.text);
    EXPECT_EQ(name ? Wire(*name) : "", row.want) << row.shows;
  }
  for (const std::string& text : {longest, longest + "."}) {
    const std::optional<Name> name = Name::FromText(text);
    ASSERT_TRUE(name.has_value());
    EXPECT_EQ(name->size(), kNameOctetsMax);
    EXPECT_EQ(name->ToText(), longest + ".");
  }
}

TEST(Name, WritesPresentationFormThatReadsBack) {
  const struct {
    std::string wire;
    std::string_view want;
  } kRows[] = {
      {"\0"s, "."},
      {"\3www\7example\0"s, "www.example."},
      {"\6sp ace\4node\0"s, R"(sp\032ace.node.)"},
      {"\3a.b\1\\\0"s, R"(a\.b.\\.)"},
      {"\3\"@$\4();\x7f\0"s, R"(\"\@\$.\(\)\;\127.)"},
      {"\2\xc3\xbc\0"s, R"(\195\188.)"},
  };
  for (const auto& row : kRows) {
    const std::optional<Name> name = Name::FromWire(AsOctets(row.wire));
    ASSERT_TRUE(name.has_value()) << row.want;
    EXPECT_EQ(name->ToText(), row.want);
    EXPECT_EQ(Wire(*Name::FromText(name->ToText())), row.wire);
  }
}

TEST(Name, TakesNothingButOneWholeNameInWireForm) {
  const struct {
    std::string_view shows;
    std::string wire;
  } kRows[] = {
      {"nothing", ""},
      {"no root label", "\1a"s},
      {"octets after the root", "\1a\0b"s},
      {"a label past the end", "\5ab\0"s},
      {"a pointer", "\1a\xc0\0"s},
      {"label type 01", "\x40\0"s},
      {"label type 10", "\x80\0"s},
  };
  for (const auto& row : kRows) {
    EXPECT_FALSE(Name::FromWire(AsOctets(row.wire)).has_value()) << row.shows;
  }
}

TEST(ReadName, FollowsPointersBackwardsOnly) {
  const struct {
    std::string_view shows;
    std::string message;
    size_t offset;
    std::string_view want;  // empty: refused
    size_t want_past = 0;
  } kRows[] = {
      {"no pointer", "\1a\1b\0"s, 0, "a.b.", 5},
      {"a whole name by a pointer", "\1a\0\xc0\0"s, 3, "a.", 5},
      {"a suffix by a pointer", "\1b\0\1a\xc0\0x"s, 3, "a.b.", 7},
      {"a pointer to a pointer", "\1c\0\1b\xc0\0\1a\xc0\3"s, 7, "a.b.c.", 11},
      {"into the middle of a name", "\1a\1b\0\xc0\2"s, 5, "b.", 7},
      {"a pointer to itself", "\xc0\0"s, 0, ""},
      {"a pointer to its own name", "\1a\xc0\0"s, 0, ""},
      {"a pointer forwards", "\xc0\2\1a\0"s, 0, ""},
      {"two pointers in a loop", "\xc0\2\xc0\0"s, 2, ""},
      {"half a pointer", "\1a\0\xc0"s, 3, ""},
      {"a pointer past the end", "\1a\0\xc0\x7f"s, 3, ""},
      {"no octet at all", "\0"s, 1, ""},
      {"far past the end", "\0"s, 1000, ""},
  };
  for (const auto& row : kRows) {
    Name name;
    const std::optional<size_t> past = ReadName(AsOctets(row.message), row.offset, name);
    EXPECT_EQ(past.has_value(), !row.want.empty()) << row.shows;
    if (!past) continue;
    EXPECT_EQ(name.ToText(), row.want) << row.shows;
    EXPECT_EQ(*past, row.want_past) << row.shows;
  }
}

TEST(ReadName, BoundsLengthAndPointers) {
  // Each name is a label of 61 octets before the last: the fourth has 4 * 62 + 1 octets, the fifth
  // more than 255.
  std::string message = "\0"s;
  size_t before = 0, at = 0;
  for (int i = 0; i < 5; ++i) {
    at = message.size();
    message += "\x3d" + std::string(61, 'a') + "\xc0" + static_cast<char>(before);
    Name name;
    EXPECT_EQ(ReadName(AsOctets(message), at, name).has_value(), i < 4) << i;
    before = at;
    if (before > 255) break;
  }

  // A chain of bare pointers, each to the one before.
  std::vector<uint8_t> chain = {0};
  for (int i = 0; i < 200; ++i) {
    const size_t target = i == 0 ? 0 : chain.size() - 2;
    chain.push_back(static_cast<uint8_t>(0xc0 | target >> 8));
    chain.push_back(static_cast<uint8_t>(target));
  }
  Name name;
  EXPECT_TRUE(ReadName(chain, 1 + 2 * 126, name).has_value());
  EXPECT_FALSE(ReadName(chain, 1 + 2 * 127, name).has_value());
}

TEST(Name, IsAtOrBelowCountsWholeLabels) {
  const struct {
    std::string_view name, ancestor;
    bool want;
  } kRows[] = {
      {"a.example.", "example.", true},
      {"A.EXAMPLE.", "example.", true},
      {"example.", "Example.", true},
      {"example.", ".", true},
      {".", ".", true},
      {"xexample.", "example.", false},
      {"example.", "a.example.", false},
      {".", "example.", false},
      {R"(a\007example.)", "example.", false},
  };
  for (const auto& row : kRows) {
    EXPECT_EQ(Name::FromText(row.name)->IsAtOrBelow(*Name::FromText(row.ancestor)), row.want)
        << row.name << " below " << row.ancestor;
  }
}

TEST(Name, ComparesWithoutCaseAndKeepsIt) {
  const Name upper = *Name::FromText("WWW.Example"), lower = *Name::FromText("www.example");
  EXPECT_EQ(upper, lower);
  EXPECT_EQ(upper.ToText(), "WWW.Example.");
  EXPECT_EQ(upper.Lower().ToText(), "www.example.");
  EXPECT_NE(upper, *Name::FromText("www.example.org"));
  // '@' and '`', '[' and '{' are 32 apart like letters, and are none.
  EXPECT_NE(*Name::FromText(R"(\@)"), *Name::FromText("`"));
  EXPECT_NE(*Name::FromText("["), *Name::FromText("{"));
}

TEST(Name, GoesUpLabelByLabel) {
  Name name = *Name::FromText("a.bc.def");
  EXPECT_EQ(name.CountLabels(), 3u);
  for (const char* want : {"bc.def.", "def.", ".", "."}) {
    name = name.Parent();
    EXPECT_EQ(name.ToText(), want);
  }
  EXPECT_EQ(name.CountLabels(), 0u);
  EXPECT_TRUE(name.is_root());
}

}  // namespace
}  // namespace pharos::dns
