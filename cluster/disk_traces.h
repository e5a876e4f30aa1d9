// What libraft's disk tells of itself in its trace messages alone. It goes on after some failures
// as if there had been none, with a log on the disk that is another than the one in memory. Source:
// libraft 0.22's raft_uv (uv_append.c, uv_prepare.c, uv_truncate.c, uv_writer.c).
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

namespace pharos::cluster {

class DiskTraces {
 public:
  enum class Verdict : uint8_t {
    kNothing,
    kRetried,     // The disk is full or fails, and libraft tries again.
    kFailed,      // Something was not done, and will not be.
    kWriteFailed  // A write failed, and trying it again would do harm.
  };
  // In the order in which they come, from any thread.
  Verdict Judge(std::string_view message);

 private:
  std::atomic<bool> truncated_{true};
};

}  // namespace pharos::cluster
