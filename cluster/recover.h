// What an operator does when a majority of the servers is lost for good.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace pharos::cluster {

// Makes the server that `data_dir` is of the only one of its cluster, with all that it has; the
// others must never start with what they have again. No process uses `data_dir` meanwhile.
// FailedPrecondition where there is nothing to recover. Returns what was done, in words.
absl::StatusOr<std::string> RecoverAlone(const std::string& data_dir, const std::string& node_id,
                                         const std::string& node_name);

}  // namespace pharos::cluster
