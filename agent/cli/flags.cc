#include "agent/cli/flags.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_format.h"

namespace pharos::agent {
namespace {

// As Go's strconv.ParseBool.
std::optional<bool> ParseBool(std::string_view text) {
  for (const std::string_view yes : {"1", "t", "T", "true", "TRUE", "True"}) {
    if (text == yes) return true;
  }
  for (const std::string_view no : {"0", "f", "F", "false", "FALSE", "False"}) {
    if (text == no) return false;
  }
  return std::nullopt;
}

const Flag* FindFlag(std::span<const Flag> flags, std::string_view name) {
  const auto found =
      std::find_if(flags.begin(), flags.end(), [&](const Flag& flag) { return flag.name == name; });
  return found == flags.end() ? nullptr : &*found;
}

// Stores `-name` of a bool, which may come with `=value`.
absl::Status StoreBool(const Flag& flag, std::optional<std::string_view> value,
                       ParsedFlags& parsed) {
  const std::optional<bool> on = ParseBool(value.value_or("true"));
  if (!on) {
    return absl::InvalidArgumentError(
        absl::StrFormat("invalid boolean value \"%s\" for -%s: parse error", *value, flag.name));
  }
  parsed.values.emplace_back(flag.name, *on ? "true" : "false");
  return absl::OkStatus();
}

}  // namespace

std::string_view ParsedFlags::Last(std::string_view name, std::string_view otherwise) const {
  for (auto at = values.rbegin(); at != values.rend(); ++at) {
    if (at->first == name) return at->second;
  }
  return otherwise;
}

absl::StatusOr<ParsedFlags> ParseFlags(std::span<const Flag> flags,
                                       std::span<const std::string_view> arguments) {
  ParsedFlags parsed;
  size_t at = 0;
  while (at < arguments.size()) {
    const std::string_view argument = arguments[at];
    if (argument.size() < 2 || argument[0] != '-') break;
    ++at;
    if (argument == "--") break;
    std::string_view name = argument.substr(argument[1] == '-' ? 2 : 1);
    if (name.empty() || name[0] == '-' || name[0] == '=') {
      return absl::InvalidArgumentError(absl::StrFormat("bad flag syntax: %s", argument));
    }
    std::optional<std::string_view> value;
    if (const size_t equals = name.find('='); equals != std::string_view::npos) {
      value = name.substr(equals + 1);
      name = name.substr(0, equals);
    }
    const Flag* flag = FindFlag(flags, name);
    if (flag == nullptr && (name == "h" || name == "help")) {
      parsed.help = true;
      return parsed;
    }
    if (flag == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrFormat("flag provided but not defined: -%s", name));
    }
    if (flag->is_bool()) {
      if (absl::Status stored = StoreBool(*flag, value, parsed); !stored.ok()) return stored;
      continue;
    }
    if (!value && at < arguments.size()) value = arguments[at++];
    if (!value) {
      return absl::InvalidArgumentError(absl::StrFormat("flag needs an argument: -%s", name));
    }
    parsed.values.emplace_back(name, *value);
  }
  for (; at < arguments.size(); ++at) parsed.arguments.emplace_back(arguments[at]);
  return parsed;
}

std::string FlagsHelp(std::span<const Flag> flags) {
  std::string text;
  for (const Flag& flag : flags) {
    absl::StrAppendFormat(&text, "  -%s", flag.name);
    if (!flag.is_bool()) absl::StrAppendFormat(&text, "=<%s>", flag.value_name);
    absl::StrAppendFormat(&text, "\n     %s\n", flag.help);
  }
  return text;
}

}  // namespace pharos::agent
