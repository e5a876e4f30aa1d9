// Parameters of parts of Consul that this is not: namespaces, partitions, peers and sameness
// groups.
#pragma once

#include "absl/status/status.h"
#include "http/message.h"

namespace pharos::http {

// InvalidArgument where one of them asks for another than the only one there is.
absl::Status CheckTenancy(const Request& request);

}  // namespace pharos::http
