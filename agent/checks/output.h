// What a check printed or answered, kept within bounds and fit for JSON.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace pharos::agent {

// Keeps the last `octets_max` octets of what is added: the end of a script's output says most.
class OutputTail {
 public:
  explicit OutputTail(size_t octets_max) : octets_max_(octets_max) {}

  void Add(std::string_view text);
  // What was kept; when something was dropped, behind `Captured N of M bytes\n...\n`.
  std::string Text() const;

 private:
  size_t octets_max_;
  uint64_t octets_seen_ = 0;
  std::string kept_;  // Up to twice octets_max_, so that dropping from its front is rare.
};

// The text with each octet that is not part of well-formed UTF-8 as U+FFFD, as a JSON string and a
// protobuf string must be UTF-8 and a script may print anything.
std::string ToUtf8(std::string_view text);

}  // namespace pharos::agent
