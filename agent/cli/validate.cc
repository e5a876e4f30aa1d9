#include <string>

#include "absl/strings/str_join.h"
#include "agent/cli/command.h"
#include "agent/config/load.h"

namespace pharos::agent {
namespace {

constexpr Flag kFlags[] = {
    {"config-format", "hcl|json", "Format of all files, whatever their endings."},
    {"quiet", "", "Print nothing when the configuration is valid."},
};

}  // namespace

// Loads the configuration of the given files and directories and says whether an agent could start
// with it.
int RunValidate(Arguments arguments, const Streams& streams) {
  ParsedFlags parsed;
  const auto done = ReadCommandFlags(
      "Usage: pharos validate [options] FILE_OR_DIRECTORY...\n\n  Checks configuration files.",
      kFlags, arguments, streams, parsed);
  if (done) return *done;
  if (parsed.arguments.empty()) {
    streams.err << "Must specify at least one config file or directory\n";
    return kExitError;
  }
  ConfigRequest request;
  request.paths = parsed.arguments;
  request.format = std::string(parsed.Last("config-format"));
  const absl::StatusOr<LoadedConfig> loaded = LoadConfig(request, ReadMachine());
  if (!loaded.ok()) {
    streams.err << "Config validation failed: " << std::string(loaded.status().message()) << "\n";
    return kExitError;
  }
  if (parsed.Has("quiet")) return kExitOk;
  for (const std::string& warning : loaded->warnings) streams.out << warning << "\n";
  if (!loaded->no_effect_keys.empty()) {
    streams.out << "these keys have no effect in this version: "
                << absl::StrJoin(loaded->no_effect_keys, ", ") << "\n";
  }
  streams.out << "Configuration is valid!\n";
  return kExitOk;
}

}  // namespace pharos::agent
