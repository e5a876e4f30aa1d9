#include "http/filter/filter.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "http/filter/parse.h"
#include "http/filter/record_schemas.h"

namespace pharos::http {
namespace {

// An instance with every kind of field, and two checks that differ.
class FilterTest : public testing::Test {
 protected:
  FilterTest() {
    node_.name = "n1";
    node_.meta = registry::StringPairs{{"a-b", "dashed"}, {"os", "linux"}};
    service_.name = "web";
    service_.tags = std::vector<std::string>{"blue", "v1"};
    service_.meta = registry::StringPairs{{"blank", ""}, {"ver", "1"}};
    service_.port = 80;
    service_.enable_tag_override = true;
    registry::ServiceDetails details;
    details.tagged_addresses = {{.name = "lan", .address = "192.0.2.1", .port = 81}};
    service_.details = details;
    alive_.name = "alive";
    alive_.status = registry::Health::kPassing;
    disk_.name = "disk";
    disk_.status = registry::Health::kCritical;
  }

  bool Matches(std::string_view text, bool with_checks = true) {
    const auto filter = ParseFilter(text, kHealthServiceSchema);
    EXPECT_TRUE(filter.ok()) << text << ": " << filter.status();
    if (!filter.ok()) return false;
    const CheckView checks[] = {{.check = &alive_, .node = "n1", .service_tags = {}},
                                {.check = &disk_, .node = "n1", .service_tags = service_.tags}};
    HealthServiceView entry = {.node = &node_, .service = &service_, .checks = {}};
    if (with_checks) entry.checks = checks;
    return filter->Matches(entry);
  }

  registry::Node node_;
  registry::Service service_;
  registry::HealthCheck alive_;
  registry::HealthCheck disk_;
};

struct Row {
  std::string_view text;
  bool want;
};

TEST_F(FilterTest, ComparesText) {
  const Row kRows[] = {
      {"Service.Service == web", true},
      {"Service.Service == Web", false},
      {"Service.Service == we", false},
      {"Service.Service != web", false},
      {"Service.Service != db", true},
      {"Service.Service == \"w\\x65b\"", true},
      {"Service.Service == `web`", true},
      {"Service.Service == `w\\x65b`", false},
      {"Service.Address == \"\"", true},
      {"Service.Service == \"\"", false},
      {"e in Service.Service", true},
      {"x in Service.Service", false},
      {"x not in Service.Service", true},
      {"Service.Service contains eb", true},
      {"Service.Service not contains eb", false},
      {"\"\" in Service.Service", true},
      {"Service.Address is empty", true},
      {"Service.Service is not empty", true},
      {"Service.Service matches `^w.b$`", true},
      {"Service.Service matches e", true},
      {"Service.Service matches `^e`", false},
      {"Service.Service not matches `^e`", true},
  };
  for (const Row& row : kRows) EXPECT_EQ(Matches(row.text), row.want) << row.text;
}

TEST_F(FilterTest, ComparesNumbersAndBools) {
  const Row kRows[] = {
      {"Service.Port == 80", true},
      {"Service.Port==80", true},
      {"Service.Port != 80", false},
      {"Service.Port == 8", false},
      {"Service.Port == -80", false},
      {"Service.Port == \"0x50\"", true},
      {"Service.Port == `0120`", true},
      {"Service.Port == `0o120`", true},
      {"Service.Port == `0b1010000`", true},
      {"Service.Port == `+80`", true},
      {"Service.Port != `-9223372036854775808`", true},
      {"Service.Weights.Passing == 1", true},
      {"Service.EnableTagOverride == true", true},
      {"Service.EnableTagOverride == 1", true},
      {"Service.EnableTagOverride != T", false},
      {"Service.EnableTagOverride == false", false},
  };
  for (const Row& row : kRows) EXPECT_EQ(Matches(row.text), row.want) << row.text;
}

TEST_F(FilterTest, LooksIntoLists) {
  const Row kRows[] = {
      {"blue in Service.Tags", true},
      {"blu in Service.Tags", false},
      {"Service.Tags contains \"v1\"", true},
      {"green not in Service.Tags", true},
      {"Service.Tags not contains blue", false},
      {"Service.Tags is empty", false},
      {"Service.Tags is not empty", true},
  };
  for (const Row& row : kRows) EXPECT_EQ(Matches(row.text), row.want) << row.text;
}

TEST_F(FilterTest, LooksIntoMapsByKey) {
  const Row kRows[] = {
      {"Service.Meta.ver == 1", true},
      {"Service.Meta[\"ver\"] == 1", true},
      {"Service.Meta[ `ver` ] == 1", true},
      {"Node.Meta[\"a-b\"] == dashed", true},
      {"Node.Meta.os matches `nu`", true},
      {"nu in Node.Meta.os", true},
      {"ver in Service.Meta", true},
      {"1 in Service.Meta", false},
      {"Service.Meta contains ver", true},
      {"os not in Service.Meta", true},
      {"Service.Meta is empty", false},
      {"Node.TaggedAddresses is empty", true},
      {"Service.TaggedAddresses.lan.Port == 81", true},
      {"Service.TaggedAddresses[\"lan\"].Address == `192.0.2.1`", true},
      {"lan in Service.TaggedAddresses", true},
      {"wan in Service.TaggedAddresses", false},
      {"Service.TaggedAddresses is not empty", true},
  };
  for (const Row& row : kRows) EXPECT_EQ(Matches(row.text), row.want) << row.text;
}

TEST_F(FilterTest, AnAbsentKeyEqualsNothingAndIsEmpty) {
  const Row kRows[] = {
      {"Node.Meta.az == \"\"", false},
      {"Node.Meta.az != \"\"", true},
      {"Node.Meta.az != x", true},
      {"\"\" in Node.Meta.az", false},
      {"x not in Node.Meta.az", true},
      {"Node.Meta.az matches `.*`", false},
      {"Node.Meta.az not matches `.*`", true},
      {"Node.Meta.az is empty", true},
      {"Node.Meta.az is not empty", false},
      {"Service.Meta.blank == \"\"", true},
      {"Service.Meta.blank is empty", true},
      {"Service.TaggedAddresses.wan.Port == 0", false},
      {"Service.TaggedAddresses.wan.Port != 0", true},
  };
  for (const Row& row : kRows) EXPECT_EQ(Matches(row.text), row.want) << row.text;
}

TEST_F(FilterTest, OneRecordOfAListIsEnough) {
  const Row kRows[] = {
      {"Checks.Status == critical", true},
      {"Checks.Status == warning", false},
      {"Checks.Status != critical", true},
      {"not (Checks.Status == critical)", false},
      {"Checks.Name == alive and Checks.Status == critical", true},
      {"blue in Checks.ServiceTags", true},
      {"Checks is empty", false},
      {"Checks is not empty", true},
  };
  for (const Row& row : kRows) EXPECT_EQ(Matches(row.text), row.want) << row.text;
}

TEST_F(FilterTest, NoRecordOfAnEmptyListFits) {
  const Row kRows[] = {
      {"Checks.Status == critical", false},
      {"Checks.Status != critical", false},
      {"Checks is empty", true},
  };
  for (const Row& row : kRows) EXPECT_EQ(Matches(row.text, false), row.want) << row.text;
}

// `T` and `F` in the texts stand for comparisons that are true and false.
TEST_F(FilterTest, NotBindsTighterThanAndThanOr) {
  const Row kRows[] = {
      {"T or T and F", true},       {"(T or T) and F", false},
      {"F and F or T", true},       {"F and (F or T)", false},
      {"not F and F", false},       {"not (F and F)", true},
      {"not T or T", true},         {"not (T or T)", false},
      {"not not T", true},          {"not not not T", false},
      {"not(F)and(T)", true},       {"T and T and T and F", false},
      {"F or F or F or T", true},   {"((T))", true},
      {"(T) or (F)", true},         {" \t\r\n( T\nor F ) ", true},
      {"not (not (T) or F)", true},
  };
  for (const Row& row : kRows) {
    std::string text;
    for (const char c : row.text) {
      if (c == 'T') {
        text += "Service.Port == 80";
      } else if (c == 'F') {
        text += "Service.Port == 81";
      } else {
        text += c;
      }
    }
    EXPECT_EQ(Matches(text), row.want) << row.text;
  }
}

TEST_F(FilterTest, KeywordsAreWholeWordsAndMayBeValues) {
  const Row kRows[] = {
      {"Service.Service == not", false},
      {"notes in Service.Tags", false},
      {"in in Service.Tags", false},
      {"Service.Service contains in", false},
      {"web.v1 in Service.Tags", false},
      {"Service.Service == is or Service.Service == web", true},
      {"Service.Service == orweb", false},
      {"-1 not in Service.Tags", true},
      {"1.5 in Service.Tags", false},
  };
  for (const Row& row : kRows) EXPECT_EQ(Matches(row.text), row.want) << row.text;
}

TEST_F(FilterTest, EmptyTextIsNoFilter) { EXPECT_TRUE(Matches("")); }

}  // namespace
}  // namespace pharos::http
