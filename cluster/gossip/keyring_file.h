// The file that a pool's keys are kept in: a JSON list of them in base64, the primary one first, as
// Serf and Consul write it.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cluster/gossip/keyring.h"

namespace pharos::gossip {

// The keys of the file. Without one, `configured` (base64; may be empty) alone, which is then
// written there: from then on the file alone counts, so that no key comes back that was removed.
// The error names the file and what is wrong, and shows no key.
absl::StatusOr<Keyring> LoadKeyring(const std::string& path, const std::string& configured);

// Replaces the file, for its owner's eyes only.
absl::Status SaveKeyring(const std::string& path, const Keyring& keyring);

}  // namespace pharos::gossip
