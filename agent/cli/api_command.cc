#include "agent/cli/api_command.h"

#include <algorithm>

#include "absl/strings/str_format.h"

namespace pharos::agent {

int RunApiCommand(std::string_view usage, std::vector<Flag> flags, std::string_view failed,
                  Arguments arguments, const Streams& streams, const ApiBody& body) {
  const std::vector<Flag> all = WithApiFlags(std::move(flags));
  ParsedFlags parsed;
  if (const auto done = ReadCommandFlags(usage, all, arguments, streams, parsed)) return *done;
  absl::StatusOr<ApiOptions> options = ReadApiOptions(parsed, ReadProcessEnvironment);
  if (!options.ok()) {
    streams.err << failed << ": " << std::string(options.status().message()) << "\n";
    return kExitError;
  }
  const absl::StatusOr<int> status = body(ApiClient(*std::move(options)), parsed, streams.out);
  if (status.ok()) return *status;
  streams.err << failed << ": " << std::string(status.status().message()) << "\n";
  return kExitError;
}

std::string FormatTable(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      const bool last = i + 1 == row.size();
      absl::StrAppendFormat(&text, "%-*s%s", last ? 0 : static_cast<int>(widths[i]), row[i],
                            last ? "\n" : "  ");
    }
  }
  return text;
}

int RunSubcommand(std::string_view name, std::span<const Command> commands, Arguments arguments,
                  const Streams& streams) {
  const std::string_view wanted = arguments.empty() ? std::string_view() : arguments[0];
  for (const Command& command : commands) {
    if (command.name == wanted) return command.run(arguments.subspan(1), streams);
  }
  const bool help = wanted == "-h" || wanted == "-help" || wanted == "--help";
  std::ostream& target = help ? streams.out : streams.err;
  target << "Usage: pharos " << name << " <subcommand> [options] [args]\n\nSubcommands:\n";
  size_t width = 0;
  for (const Command& command : commands) width = std::max(width, command.name.size());
  for (const Command& command : commands) {
    target << absl::StrFormat("    %-*s    %s\n", static_cast<int>(width), command.name,
                              command.synopsis);
  }
  return help ? kExitOk : kExitUnknownCommand;
}

}  // namespace pharos::agent
