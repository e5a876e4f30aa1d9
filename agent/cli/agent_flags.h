// The options of `pharos agent`: each sets one key of the configuration.
#pragma once

#include <span>

#include "absl/status/statusor.h"
#include "agent/cli/flags.h"
#include "agent/config/load.h"

namespace pharos::agent {

// All of them, sorted by name, for ParseFlags and FlagsHelp.
std::span<const Flag> AgentFlags();

// What the parsed flags ask to load. InvalidArgument: an argument beside the flags, or, in Go's
// words, a number that is none.
absl::StatusOr<ConfigRequest> MakeConfigRequest(const ParsedFlags& parsed);

}  // namespace pharos::agent
