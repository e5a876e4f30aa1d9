// What commands that ask an agent have in common.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "agent/cli/api_client.h"
#include "agent/cli/command.h"

namespace pharos::agent {

// Reads the options (`flags` and those of every such command) and runs `body`; an error of it is
// said as `FAILED: REASON`, exit status 1. `body` returns the exit status.
using ApiBody = std::function<absl::StatusOr<int>(const ApiClient& client,
                                                  const ParsedFlags& parsed, std::ostream& out)>;
int RunApiCommand(std::string_view usage, std::vector<Flag> flags, std::string_view failed,
                  Arguments arguments, const Streams& streams, const ApiBody& body);

// Rows as columns, left-aligned and two blanks apart, a line each; the last column is not padded.
std::string FormatTable(const std::vector<std::vector<std::string>>& rows);

// Picks one of the subcommands of `name`; without one, or with an unknown one, prints them.
int RunSubcommand(std::string_view name, std::span<const Command> commands, Arguments arguments,
                  const Streams& streams);

}  // namespace pharos::agent
