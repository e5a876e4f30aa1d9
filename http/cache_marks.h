// What clients who ask with `?cached` were told before. Every answer is made from memory and never
// older than the agent's catalog, so nothing is cached; but clients count hits, and a second
// question is one.
#pragma once

#include <cstddef>
#include <mutex>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"

namespace pharos::http {

// Thread-safe.
class CacheMarks {
 public:
  // Questions remembered; at the bound all are forgotten, and the next ones count as misses.
  static constexpr size_t kMarksMax = 10'000;

  // Whether the question was asked before; remembers it.
  bool WasAsked(const std::string& question) {
    const std::lock_guard lock(mutex_);
    if (marks_.size() >= kMarksMax) marks_.clear();
    return !marks_.insert(question).second;
  }

 private:
  std::mutex mutex_;
  absl::flat_hash_set<std::string> marks_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pharos::http
