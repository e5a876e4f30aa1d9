#include <array>
#include <string>

#include "absl/strings/escaping.h"
#include "agent/cli/command.h"
#include "base/octets.h"
#include "base/random.h"

namespace pharos::agent {

// Prints a new key for the configuration's `encrypt`: base64 of 32 random octets.
int RunKeygen(Arguments arguments, const Streams& streams) {
  ParsedFlags parsed;
  const auto done = ReadCommandFlags(
      "Usage: pharos keygen\n\n  Prints a new key for the encryption of gossip traffic (the key "
      "encrypt of the configuration).",
      {}, arguments, streams, parsed);
  if (done) return *done;
  if (!parsed.arguments.empty()) {
    streams.err << "keygen takes no arguments; \"" << parsed.arguments[0] << "\" was given\n";
    return kExitError;
  }
  std::array<uint8_t, 32> key;
  SecureRandom(key);
  streams.out << absl::Base64Escape(std::string(AsText(key))) << "\n";
  return kExitOk;
}

}  // namespace pharos::agent
