// Whether a history of reads and writes of one register could have happened one after the other,
// each at some moment between its beginning and its end.
// Source: Wing and Gong, "Testing and Verifying Concurrent Objects" (1993), with the memory of
// Lowe, "Testing for linearizability" (2017), as in porcupine.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

namespace pharos::sim {

struct Operation {
  static constexpr uint64_t kNever = std::numeric_limits<uint64_t>::max();
  bool is_write = false;
  int64_t value = 0;  // Written, or read.
  uint64_t begun = 0;
  uint64_t ended = kNever;  // kNever: nobody knows whether it took effect, or will.
};

// `first` is the value before any write. At most 512 operations. Reads without an end say nothing
// and are left out by the caller.
bool IsLinearizable(const std::vector<Operation>& history, int64_t first);

}  // namespace pharos::sim
