// The subcommands of `pharos` and how one of them is chosen.
#pragma once

#include <optional>
#include <ostream>
#include <span>
#include <string_view>

#include "agent/cli/flags.h"

namespace pharos::agent {

// Where a command writes: standard output and standard error, or a test's strings.
struct Streams {
  std::ostream& out;
  std::ostream& err;
};

using Arguments = std::span<const std::string_view>;

// Exit statuses; each command returns one.
inline constexpr int kExitOk = 0;
inline constexpr int kExitError = 1;
inline constexpr int kExitUnknownCommand = 127;

struct Command {
  std::string_view name;
  std::string_view synopsis;  // One line for the list of commands.
  // Runs it; `arguments` are those behind the command's name.
  int (*run)(Arguments arguments, const Streams& streams);
};

// Runs the command that `arguments` (without the program's own name) starts with. Without one, and
// for an unknown one, prints the usage and returns kExitUnknownCommand; -h, -help and --help print
// it too, and -v, -version and --version run the command `version`.
int RunCommandLine(std::span<const Command> commands, Arguments arguments, const Streams& streams);

// Reads a command's flags into `parsed`. A value is the exit status with which the command ends
// here: it was asked for help (printed: `usage` and the flags), or the flags were wrong (said, and
// the same printed on standard error).
std::optional<int> ReadCommandFlags(std::string_view usage, std::span<const Flag> flags,
                                    Arguments arguments, const Streams& streams,
                                    ParsedFlags& parsed);

// Each in the file of its name, or of its neighbour.
int RunAgent(Arguments arguments, const Streams& streams);
int RunCache(Arguments arguments, const Streams& streams);
int RunCatalog(Arguments arguments, const Streams& streams);
int RunForceLeave(Arguments arguments, const Streams& streams);
int RunEvent(Arguments arguments, const Streams& streams);
int RunExplain(Arguments arguments, const Streams& streams);
int RunInfo(Arguments arguments, const Streams& streams);
int RunJoin(Arguments arguments, const Streams& streams);
int RunKeyring(Arguments arguments, const Streams& streams);
int RunLeave(Arguments arguments, const Streams& streams);
int RunMaint(Arguments arguments, const Streams& streams);
int RunMembers(Arguments arguments, const Streams& streams);
int RunMonitor(Arguments arguments, const Streams& streams);
int RunOperator(Arguments arguments, const Streams& streams);
int RunReload(Arguments arguments, const Streams& streams);
int RunRtt(Arguments arguments, const Streams& streams);
int RunServices(Arguments arguments, const Streams& streams);
int RunSnapshot(Arguments arguments, const Streams& streams);
int RunStatus(Arguments arguments, const Streams& streams);
int RunWatch(Arguments arguments, const Streams& streams);
int RunLookup(Arguments arguments, const Streams& streams);
int RunKeygen(Arguments arguments, const Streams& streams);
int RunValidate(Arguments arguments, const Streams& streams);
int RunVersion(Arguments arguments, const Streams& streams);

}  // namespace pharos::agent
