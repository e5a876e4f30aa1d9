#include "cluster/disk_traces.h"

namespace pharos::cluster {

DiskTraces::Verdict DiskTraces::Judge(std::string_view message) {
  // libraft would set the wrong timer now, and write through it into foreign memory 5 s later.
  if (message.starts_with("retry failed write")) return Verdict::kWriteFailed;
  // A truncation is told of on another thread, where it begins and where it succeeds.
  if (message == "uv truncate work cb") truncated_ = false;
  if (message == "uv truncate work cb ok") truncated_ = true;
  const bool failed =
      (message.starts_with("uv truncate after work cb") && !truncated_) ||
      message.starts_with("truncate index") || message.starts_with("truncate segment") ||
      (message.starts_with("prepare segment") && message.find("failed") != message.npos);
  if (failed) return Verdict::kFailed;
  return message.starts_with("retry") ? Verdict::kRetried : Verdict::kNothing;
}

}  // namespace pharos::cluster
