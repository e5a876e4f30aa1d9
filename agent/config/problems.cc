#include "agent/config/problems.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace pharos::agent {

void Problems::Add(const Position& at, std::string_view message) {
  Add(AtPosition(names_[at.source], at, message));
}

void Problems::Add(std::string message) {
  ++count_;
  if (!full()) listed_.push_back(std::move(message));
}

absl::Status Problems::ToStatus() const {
  if (count_ == 0) return absl::OkStatus();
  if (count_ == 1) return absl::InvalidArgumentError(listed_[0]);
  std::string text = absl::StrFormat("%d errors occurred:", count_);
  for (const std::string& problem : listed_) absl::StrAppend(&text, "\n  * ", problem);
  if (count_ > listed_.size()) {
    absl::StrAppendFormat(&text, "\n  and %d more", count_ - listed_.size());
  }
  return absl::InvalidArgumentError(text);
}

}  // namespace pharos::agent
