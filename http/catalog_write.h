// Bodies of writes to the catalog as commands.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "proto/catalog.pb.h"

namespace pharos::http {

// Of PUT /v1/catalog/register and /v1/catalog/deregister. InvalidArgument for a body that is not
// one, Internal (in Consul's words) for one that says too little; `datacenter` is ours, another one
// is not reached.
absl::StatusOr<catalog::v1::Command> ParseCatalogRegister(const std::string& body,
                                                          const std::string& datacenter);
absl::StatusOr<catalog::v1::Command> ParseCatalogDeregister(const std::string& body,
                                                            const std::string& datacenter);

}  // namespace pharos::http
