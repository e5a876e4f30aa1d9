// Keeps a log readable while a whole pool joins or fails: so many lines a second, and the number of
// the rest.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "absl/time/time.h"

namespace pharos::gossip {

class LineLimit {
 public:
  static constexpr int kLinesMax = 20;  // Of a second.

  // Whether a line may be written; if not, it is counted under `kind`.
  bool MayWrite(absl::Time now, const std::string& kind) {
    if (now - begin_ >= absl::Seconds(1) && held_back_.empty()) {
      begin_ = now;
      written_ = 0;
    }
    if (++written_ <= kLinesMax) return true;
    ++held_back_[kind];
    return false;
  }
  // What was held back, by kind, once its second is over; empty if nothing was.
  std::map<std::string, int> TakeHeldBack(absl::Time now) {
    if (now - begin_ < absl::Seconds(1)) return {};
    return std::exchange(held_back_, {});
  }

 private:
  absl::Time begin_ = absl::InfinitePast();
  int written_ = 0;
  std::map<std::string, int> held_back_;
};

}  // namespace pharos::gossip
