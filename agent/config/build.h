// From the merged tree of all sources to the typed configuration, with every rule that one key
// alone cannot show.
#pragma once

#include <string>
#include <vector>

#include "agent/config/address_template.h"
#include "agent/config/config.h"
#include "agent/config/problems.h"
#include "agent/config/settings.h"

namespace pharos::agent {

// What a configuration takes from the machine it is for.
struct Machine {
  std::string host_name;
  std::vector<InterfaceAddress> interfaces;
};

// What building yields beside the configuration.
struct BuildNotes {
  std::vector<std::string> warnings;
  std::vector<std::string> no_effect_keys;  // Of definitions; those of the tree are not here.
};

// Builds the configuration from `tree` (merged, each source checked against the schema). What is
// wrong goes to `problems`; the result is to be used only when there are none.
Config BuildConfig(const Value& tree, const SourceNames& names, const Machine& machine,
                   bool dev_mode, Problems& problems, BuildNotes& notes);

// The part of it about addresses and ports: bind, client, advertise, listeners, clashes.
void BuildNetwork(const Settings& settings, const Machine& machine, Config& config,
                  BuildNotes& notes);

}  // namespace pharos::agent
