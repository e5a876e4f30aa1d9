#include "registry/query_template.h"

#include <charconv>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"

namespace pharos::registry {
namespace {

constexpr std::string_view kMatch = "match(";

std::string_view Trimmed(std::string_view text) {
  const absl::string_view trimmed =
      absl::StripAsciiWhitespace(absl::string_view(text.data(), text.size()));
  return {trimmed.data(), trimmed.size()};
}

// What stands between `${` and `}`; nullopt for nothing we know.
std::optional<std::string_view> ValueOf(std::string_view reference, const TemplateValues& values) {
  if (reference == "name.full") return values.full;
  if (reference == "name.prefix") return values.prefix;
  if (reference == "name.suffix") return values.suffix;
  if (reference == "agent.segment") return values.segment;
  if (!reference.starts_with(kMatch) || !reference.ends_with(')')) return std::nullopt;
  const std::string_view digits =
      Trimmed(reference.substr(kMatch.size(), reference.size() - kMatch.size() - 1));
  size_t group = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), group);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return group < values.groups.size() ? std::string_view(values.groups[group]) : std::string_view();
}

}  // namespace

absl::Status RenderTemplateText(std::string_view text, const TemplateValues& values,
                                std::string& rendered) {
  const std::string_view whole = text;
  while (!text.empty()) {
    const size_t dollar = text.find("${");
    rendered.append(text.substr(0, dollar));
    if (dollar == std::string_view::npos) break;
    if (dollar > 0 && text[dollar - 1] == '$') {  // The first of `$${` is written already.
      rendered.push_back('{');
      text.remove_prefix(dollar + 2);
      continue;
    }
    const size_t end = text.find('}', dollar);
    const std::string_view reference = end == std::string_view::npos
                                           ? std::string_view()
                                           : Trimmed(text.substr(dollar + 2, end - dollar - 2));
    const std::optional<std::string_view> value = ValueOf(reference, values);
    if (!value) {
      return absl::InvalidArgumentError(
          absl::StrFormat("\"%s\" holds \"%s\"; expected ${name.full}, ${name.prefix}, "
                          "${name.suffix}, ${match(N)} or ${agent.segment}",
                          whole.substr(0, 64), text.substr(dollar, 32)));
    }
    rendered.append(*value);
    text.remove_prefix(end + 1);
  }
  return absl::OkStatus();
}

}  // namespace pharos::registry
