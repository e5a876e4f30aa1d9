#include "agent/checks/output.h"

#include "absl/strings/str_format.h"
#include "base/utf8.h"

namespace pharos::agent {

void OutputTail::Add(std::string_view text) {
  octets_seen_ += text.size();
  if (text.size() > octets_max_) text.remove_prefix(text.size() - octets_max_);
  if (kept_.size() + text.size() > 2 * octets_max_) {
    kept_.erase(0, kept_.size() + text.size() - octets_max_);
  }
  kept_ += text;
}

std::string OutputTail::Text() const {
  std::string_view end = kept_;
  if (end.size() > octets_max_) end.remove_prefix(end.size() - octets_max_);
  if (octets_seen_ <= octets_max_) return std::string(end);
  return absl::StrFormat("Captured %d of %d bytes\n...\n%s", end.size(), octets_seen_, end);
}

std::string ToUtf8(std::string_view text) {
  std::string clean;
  while (true) {
    const size_t invalid = FindInvalidUtf8(text);
    clean += text.substr(0, invalid);
    if (invalid == text.size()) return clean;
    clean += "\xEF\xBF\xBD";
    text.remove_prefix(invalid + 1);
  }
}

}  // namespace pharos::agent
