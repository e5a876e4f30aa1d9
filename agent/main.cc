// The program: picks the subcommand.
#include <iostream>
#include <string_view>
#include <vector>

#include "agent/cli/command.h"

namespace pharos::agent {
namespace {

constexpr Command kCommands[] = {
    {"agent", "Runs a Pharos agent", RunAgent},
    {"cache", "Shows and empties the cache of recursors' answers", RunCache},
    {"catalog", "Lists what is registered", RunCatalog},
    {"event", "Sends an event to the agents of the cluster", RunEvent},
    {"explain", "Says why DNS answers as it does", RunExplain},
    {"force-leave", "Takes a failed node for one that has left", RunForceLeave},
    {"info", "Shows figures of the agent", RunInfo},
    {"join", "Lets the agent join a cluster", RunJoin},
    {"keygen", "Generates a new encryption key", RunKeygen},
    {"keyring", "Shows and changes the keys of the gossip encryption", RunKeyring},
    {"leave", "Lets the agent leave its cluster and stop", RunLeave},
    {"lookup", "Asks a DNS server, as dig does", RunLookup},
    {"maint", "Puts the node or a service into maintenance", RunMaint},
    {"members", "Lists the members of the cluster", RunMembers},
    {"monitor", "Shows the agent's log as it is written", RunMonitor},
    {"operator", "Shows and changes the cluster's servers", RunOperator},
    {"reload", "Lets the agent read its files again", RunReload},
    {"rtt", "Estimates the round-trip time between two nodes", RunRtt},
    {"services", "Registers and removes services", RunServices},
    {"snapshot", "Saves, restores and inspects the catalog", RunSnapshot},
    {"status", "Says whether this node is healthy, and why not", RunStatus},
    {"validate", "Validate config files/directories", RunValidate},
    {"version", "Prints the Pharos version", RunVersion},
    {"watch", "Runs a command at each change", RunWatch},
};

}  // namespace
}  // namespace pharos::agent

int main(int argc, char** argv) {
  const std::vector<std::string_view> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  return pharos::agent::RunCommandLine(pharos::agent::kCommands, arguments,
                                       {.out = std::cout, .err = std::cerr});
}
