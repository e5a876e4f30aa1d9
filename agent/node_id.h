// The identity of this node, which outlives restarts and changes of name and address.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace pharos::agent {

// `given` if it is not empty, else what the file `node-id` in `data_dir` holds, else a new UUID;
// kept in that file. Without a data_dir (as in -dev) nothing is kept. Errors name the file.
absl::StatusOr<std::string> LoadNodeId(const std::string& given, const std::string& data_dir);

}  // namespace pharos::agent
