// Command-line flags as Go's flag package reads them, which is what users of Consul type:
// `-name value`, `-name=value`, `--name`, bools without a value, flags repeated.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace pharos::agent {

struct Flag {
  std::string_view name;        // Without dashes.
  std::string_view value_name;  // What the help calls the value; empty: a bool, which needs none.
  std::string_view help;

  bool is_bool() const { return value_name.empty(); }
};

struct ParsedFlags {
  // Name and value in the order given; of a bool "true" or "false".
  std::vector<std::pair<std::string, std::string>> values;
  std::vector<std::string> arguments;  // What follows the flags.
  bool help = false;                   // -h, -help: whatever else was given does not matter.

  // The last value given for a flag, or `otherwise`.
  std::string_view Last(std::string_view name, std::string_view otherwise = "") const;
  bool Has(std::string_view name) const { return Last(name) == "true"; }  // Of a bool.
};

// Reads flags up to the first argument that is none, or to `--`. InvalidArgument in Go's words:
// `flag provided but not defined: -x`, `flag needs an argument: -x`, `bad flag syntax: -=x`,
// `invalid boolean value "x" for -x: parse error`.
absl::StatusOr<ParsedFlags> ParseFlags(std::span<const Flag> flags,
                                       std::span<const std::string_view> arguments);

// Two lines a flag, `  -name=<value>` and its help indented.
std::string FlagsHelp(std::span<const Flag> flags);

}  // namespace pharos::agent
