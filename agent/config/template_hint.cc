#include "agent/config/template_hint.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"

namespace pharos::agent {
namespace {

constexpr size_t kPlaceholderOctetsMax = 64;
// Where placeholders are looked for: a hint is not worth reading a long text through.
constexpr size_t kSearchedOctetsMax = 4096;

bool IsNameOctet(char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_'; }

// The placeholder that starts at text[at] == '$', or empty.
std::string_view ShellPlaceholder(std::string_view text, size_t at) {
  if (at + 1 >= text.size()) return {};
  if (text[at + 1] == '{') {
    const size_t end = text.find('}', at);
    return end == std::string_view::npos ? std::string_view() : text.substr(at, end + 1 - at);
  }
  size_t end = at + 1;
  while (end < text.size() && IsNameOctet(text[end])) ++end;
  const bool starts_as_name =
      end > at + 1 && !absl::ascii_isdigit(static_cast<unsigned char>(text[at + 1]));
  return starts_as_name ? text.substr(at, end - at) : std::string_view();
}

std::string_view BracePlaceholder(std::string_view text, size_t at) {
  if (text.substr(at, 2) != "{{") return {};
  const size_t end = text.find("}}", at);
  if (end == std::string_view::npos) return {};
  const std::string_view whole = text.substr(at, end + 2 - at);
  return whole.find("Get") == std::string_view::npos ? whole : std::string_view();
}

}  // namespace

std::string_view FindPlaceholder(std::string_view text) {
  text = text.substr(0, kSearchedOctetsMax);
  for (size_t at = 0; at < text.size(); ++at) {
    std::string_view found;
    if (text[at] == '$') found = ShellPlaceholder(text, at);
    if (text[at] == '{') found = BracePlaceholder(text, at);
    if (!found.empty() && found.size() <= kPlaceholderOctetsMax) return found;
  }
  return {};
}

std::string PlaceholderMessage(std::string_view placeholder) {
  return absl::StrFormat(
      "%s looks like a template placeholder that was not filled in; render the file first, e.g. "
      "with envsubst",
      placeholder);
}

std::string WithTemplateHint(std::string message, std::string_view text) {
  const std::string_view placeholder = FindPlaceholder(text);
  if (placeholder.empty()) return message;
  return absl::StrFormat("%s (%s)", message, PlaceholderMessage(placeholder));
}

}  // namespace pharos::agent
