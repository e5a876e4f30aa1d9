#include <string>

#include "absl/strings/str_format.h"
#include "agent/cli/command.h"
#include "agent/version.h"

namespace pharos::agent {
namespace {

// Versions of the gossip protocol between agents.
constexpr int kProtocolDefault = 2;
constexpr int kProtocolMin = 2;
constexpr int kProtocolMax = 3;

constexpr Flag kFlags[] = {{"format", "pretty|json", "Output format; pretty unless given."}};

std::string Pretty() {
  return absl::StrFormat(
      "Pharos v%s\nProtocol %d spoken by default, understands %d to %d (agent will automatically "
      "use protocol >%d when speaking to compatible agents)\n",
      kVersion, kProtocolDefault, kProtocolMin, kProtocolMax, kProtocolDefault);
}

std::string Json() {
  return absl::StrFormat(R"({
    "Version": "%s",
    "HumanVersion": "%s",
    "Revision": "",
    "SHA": "",
    "Prerelease": "",
    "RPC": {
        "Default": %d,
        "Min": %d,
        "Max": %d
    }
}
)",
                         kVersion, kVersion, kProtocolDefault, kProtocolMin, kProtocolMax);
}

}  // namespace

// Prints the version of this program and of the protocol it speaks.
int RunVersion(Arguments arguments, const Streams& streams) {
  ParsedFlags parsed;
  const auto done = ReadCommandFlags("Usage: pharos version [options]\n\n  Prints the version.",
                                     kFlags, arguments, streams, parsed);
  if (done) return *done;
  const std::string_view format = parsed.Last("format", "pretty");
  if (format != "pretty" && format != "json") {
    streams.err << "-format is \"" << format << "\"; expected pretty or json\n";
    return kExitError;
  }
  streams.out << (format == "json" ? Json() : Pretty());
  return kExitOk;
}

}  // namespace pharos::agent
