#include "cluster/disk_traces.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace pharos::cluster {
namespace {

using Verdict = DiskTraces::Verdict;

// The messages as libraft makes them.
TEST(DiskTraces, TellWhatLibraftPassesOver) {
  const struct {
    std::string shows;
    std::vector<std::string> messages;
    Verdict last;
  } kRows[] = {
      {"a truncation that succeeds",
       {"uv truncate 7", "uv truncate work cb", "uv truncate work cb ok",
        "uv truncate after work cb status:0"},
       Verdict::kNothing},
      {"a truncation that fails",
       {"uv truncate 7", "uv truncate work cb", "unlink segment 1-9: no such file",
        "uv truncate after work cb status:0"},
       Verdict::kFailed},
      {"a second one that fails",
       {"uv truncate work cb", "uv truncate work cb ok", "uv truncate after work cb status:0",
        "uv truncate work cb", "uv truncate after work cb status:0"},
       Verdict::kFailed},
      {"a truncation that cannot begin", {"truncate index 7: no memory"}, Verdict::kFailed},
      {"a segment that cannot be had", {"prepare segment failed (18)"}, Verdict::kFailed},
      {"nor written to", {"prepare segment ready failed (18)"}, Verdict::kFailed},
      {"nor begun", {"prepare segment start failed (18)"}, Verdict::kFailed},
      {"a segment that is tried again", {"retry creating segment open-3"}, Verdict::kRetried},
      {"a write that is tried again", {"retry failed write"}, Verdict::kWriteFailed},
      {"a segment", {"create open segment open-3"}, Verdict::kNothing},
  };
  for (const auto& row : kRows) {
    DiskTraces traces;
    Verdict verdict = Verdict::kNothing;
    for (const std::string& message : row.messages) {
      EXPECT_EQ(verdict, Verdict::kNothing) << row.shows;
      verdict = traces.Judge(message);
    }
    EXPECT_EQ(verdict, row.last) << row.shows;
  }
}

}  // namespace
}  // namespace pharos::cluster
