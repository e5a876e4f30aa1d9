#include "agent/cli/command.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"

namespace pharos::agent {
namespace {

std::string Usage(std::span<const Command> commands) {
  std::string text =
      "Usage: pharos [--version] [--help] <command> [<args>]\n\nAvailable commands are:\n";
  size_t width = 0;
  for (const Command& command : commands) width = std::max(width, command.name.size());
  for (const Command& command : commands) {
    absl::StrAppendFormat(&text, "    %-*s    %s\n", static_cast<int>(width), command.name,
                          command.synopsis);
  }
  return text;
}

bool IsOneOf(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

}  // namespace

int RunCommandLine(std::span<const Command> commands, Arguments arguments, const Streams& streams) {
  std::string_view name = arguments.empty() ? std::string_view() : arguments[0];
  if (IsOneOf(name, {"-h", "-help", "--help"})) {
    streams.out << Usage(commands);
    return kExitOk;
  }
  if (IsOneOf(name, {"-v", "-version", "--version"})) name = "version";
  for (const Command& command : commands) {
    if (command.name == name) return command.run(arguments.subspan(1), streams);
  }
  streams.err << Usage(commands);
  return kExitUnknownCommand;
}

std::optional<int> ReadCommandFlags(std::string_view usage, std::span<const Flag> flags,
                                    Arguments arguments, const Streams& streams,
                                    ParsedFlags& parsed) {
  absl::StatusOr<ParsedFlags> result = ParseFlags(flags, arguments);
  if (result.ok() && !result->help) {
    parsed = *std::move(result);
    return std::nullopt;
  }
  std::ostream& target = result.ok() ? streams.out : streams.err;
  if (!result.ok()) target << std::string(result.status().message()) << "\n";
  target << usage << "\n";
  if (!flags.empty()) target << "\nOptions:\n\n" << FlagsHelp(flags);
  return result.ok() ? kExitOk : kExitError;
}

}  // namespace pharos::agent
