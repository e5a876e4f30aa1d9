// Every rule of what may be written to the catalog, in one place. A proposer calls ValidateCommand
// before it proposes, so that a bad request is refused with words for its author; Catalog::Apply
// calls it again, so that a bad log entry cannot harm.
#pragma once

#include "absl/status/status.h"
#include "proto/catalog.pb.h"

namespace pharos::registry {

// OK, or InvalidArgument that says which field was given what, and what was expected.
absl::Status ValidateCommand(const catalog::v1::Command& command);

}  // namespace pharos::registry
