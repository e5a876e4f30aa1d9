// Loads the agent's configuration: this is where to start reading.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/config/build.h"
#include "agent/config/config.h"
#include "agent/config/value.h"

namespace pharos::agent {

// One flag that sets a key.
struct FlagSetting {
  std::string flag;  // `-dns-port`, for messages.
  std::string path;  // ports.dns
  Value value;       // Its positions are filled in by LoadConfig.
};

// What the command line says of where the configuration comes from. A reload loads it again.
struct ConfigRequest {
  bool dev_mode = false;
  std::vector<std::string> paths = {};  // Files and directories, in the order given.
  std::string format = {};              // "hcl" or "json" for all files; empty: by their endings.
  std::vector<std::string> hcl = {};    // Texts given by -hcl.
  std::vector<FlagSetting> flags = {};
};

struct LoadedConfig {
  Config config;
  std::vector<std::string> warnings;
  // Keys that were set and have no effect in this version, sorted; for one line of the log.
  std::vector<std::string> no_effect_keys;
  Value settings;  // All that was set, merged.
};

// The host's name and interfaces. What cannot be read stays empty.
Machine ReadMachine();

// Reads and merges, each over the one before: the defaults of -dev, the files in order (those of a
// directory by name, without its directories), the -hcl texts, the flags. Of scalars the later one
// counts, lists are joined, maps are merged key by key; `service` and `check` count as elements of
// `services` and `checks`. Then checks the whole.
//
// InvalidArgument with everything that is wrong (problems.h). Reads files and nothing else.
absl::StatusOr<LoadedConfig> LoadConfig(const ConfigRequest& request, const Machine& machine);

// The keys in which `fresh` differs from `running` although a reload cannot change them: they wait
// for a restart. Keys without effect are left out. Sorted.
std::vector<std::string> KeysThatNeedRestart(const LoadedConfig& running,
                                             const LoadedConfig& fresh);

}  // namespace pharos::agent
