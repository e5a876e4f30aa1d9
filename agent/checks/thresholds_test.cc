#include "agent/checks/thresholds.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace pharos::agent {
namespace {

// One letter a run: p, w or c; and what the status moves to, `.` where it stays.
std::string Moves(Thresholds& thresholds, std::string_view results) {
  std::string moves;
  for (const char result : results) {
    const std::string_view letters = "pwc";
    const auto moved = thresholds.Take(static_cast<registry::Health>(letters.find(result)));
    moves += moved ? letters[static_cast<size_t>(*moved)] : '.';
  }
  return moves;
}

TEST(Thresholds, MoveTheStatusOnlyOnceEnoughResultsAgree) {
  const struct {
    std::string_view shows;
    int success, warning, critical;
    std::string_view results, want;
  } kRows[] = {
      {"without thresholds each result counts", 0, 0, 0, "pwcpc", "pwcpc"},
      {"one is the same as none", 1, 1, 1, "pwcpc", "pwcpc"},
      {"passing needs three in a row", 3, 0, 0, "ppcppppp", "..c..ppp"},
      {"a warning counts with the successes", 2, 0, 0, "pwcwp", ".wc.p"},
      {"critical needs three in a row", 0, 0, 3, "ccpcccc", "..p..cc"},
      {"failures warn before they are critical", 0, 2, 4, "cccccpc", ".wwccp."},
      {"without a threshold of its own, warning is not earlier", 0, 0, 2, "ccc", ".cc"},
      {"a warning threshold above the critical one is never seen", 0, 5, 2, "cccccc", ".ccccc"},
  };
  for (const auto& row : kRows) {
    CheckDefinition definition;
    definition.success_before_passing = row.success;
    definition.failures_before_warning = row.warning;
    definition.failures_before_critical = row.critical;
    Thresholds thresholds(definition);
    EXPECT_EQ(Moves(thresholds, row.results), row.want) << row.shows;
  }
}

}  // namespace
}  // namespace pharos::agent
