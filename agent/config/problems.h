// What is wrong with a configuration: all of it in one message, so that an operator mends a file
// once and not line by line.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "agent/config/value.h"

namespace pharos::agent {

class Problems {
 public:
  static constexpr size_t kListedMax = 20;  // Further ones are only counted.

  // Borrows `names`, which may grow meanwhile.
  explicit Problems(const SourceNames& names) : names_(names) {}

  // Something wrong at a place, and something wrong at none in particular.
  void Add(const Position& at, std::string_view message);
  void Add(std::string message);

  bool empty() const { return count_ == 0; }
  // Whether further messages are only counted, so that they need not be put together.
  bool full() const { return listed_.size() >= kListedMax; }
  // OK without problems; else InvalidArgument: the message itself if it is the only one, or
  // `N errors occurred:` and a line for each.
  absl::Status ToStatus() const;

 private:
  const SourceNames& names_;
  std::vector<std::string> listed_;
  size_t count_ = 0;
};

}  // namespace pharos::agent
