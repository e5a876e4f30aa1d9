// The program: picks the subcommand.
#include <iostream>
#include <string_view>
#include <vector>

#include "agent/cli/command.h"

namespace pharos::agent {
namespace {

constexpr Command kCommands[] = {
    {"agent", "Runs a Pharos agent", RunAgent},
    {"keygen", "Generates a new encryption key", RunKeygen},
    {"lookup", "Asks a DNS server, as dig does", RunLookup},
    {"validate", "Validate config files/directories", RunValidate},
    {"version", "Prints the Pharos version", RunVersion},
};

}  // namespace
}  // namespace pharos::agent

int main(int argc, char** argv) {
  const std::vector<std::string_view> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  return pharos::agent::RunCommandLine(pharos::agent::kCommands, arguments,
                                       {.out = std::cout, .err = std::cerr});
}
