#include "dns/suffix_map.h"

#include <gtest/gtest.h>

namespace pharos::dns {
namespace {

TEST(SuffixMap, FindsTheLongestDomainThatANameIsBelow) {
  SuffixMap<int> map;
  EXPECT_EQ(map.Find(*Name::FromText("corp.example.")), nullptr);
  map.Set(*Name::FromText("corp.example."), 1);
  map.Set(*Name::FromText("eu.Corp.example."), 2);
  map.Set(*Name::FromText("10.in-addr.arpa."), 3);
  const struct {
    std::string_view shows, name;
    int want;  // 0: none.
  } kRows[] = {
      {"the domain itself", "corp.example.", 1},
      {"a name below", "a.b.c.corp.example.", 1},
      {"the longer one wins", "db.eu.corp.example.", 2},
      {"letter case is ignored (RFC 4343)", "DB.EU.CORP.EXAMPLE.", 2},
      {"labels count, not octets", "notcorp.example.", 0},
      {"a name above", "example.", 0},
      {"the root", ".", 0},
      {"a reverse name", "3.2.1.10.in-addr.arpa.", 3},
      {"another network", "3.2.1.11.in-addr.arpa.", 0},
  };
  for (const auto& row : kRows) {
    const int* found = map.Find(*Name::FromText(row.name));
    EXPECT_EQ(found == nullptr ? 0 : *found, row.want) << row.shows;
  }
}

TEST(SuffixMap, LaterValueReplacesEarlierOne) {
  SuffixMap<int> map;
  map.Set(*Name::FromText("example."), 1);
  map.Set(*Name::FromText("EXAMPLE."), 2);
  EXPECT_EQ(*map.Find(*Name::FromText("www.example.")), 2);
}

}  // namespace
}  // namespace pharos::dns
