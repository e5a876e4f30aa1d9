// LZW as members of a pool compress: 8-bit literals, codes of 9 to 12 bits packed from the least
// significant bit, as GIF has it (GIF89a appendix F).
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "base/octets.h"

namespace pharos::gossip {

// Begins with a clear code unless `initial_clear` is false, as old members leave it out.
std::string LzwCompress(Octets plain, bool initial_clear = true);

// InvalidArgument for what is no such stream, or is one of more than `octets_max` plain octets.
absl::StatusOr<std::string> LzwDecompress(Octets compressed, size_t octets_max);

}  // namespace pharos::gossip
