// Bodies of registrations at the agent (/v1/agent/service/register, /v1/agent/check/register), as
// the same definitions that configuration files give.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "agent/config/definition.h"
#include "registry/types.h"

namespace pharos::agent {

// InvalidArgument in Consul's words for what is wrong; Internal for a script while
// `scripts_enabled` is false.
absl::StatusOr<ServiceDefinition> ParseServiceBody(std::string_view body, bool scripts_enabled);
absl::StatusOr<CheckDefinition> ParseCheckBody(std::string_view body, bool scripts_enabled);

// {"Status", "Output"} of /v1/agent/check/update.
struct CheckUpdate {
  registry::Health status = registry::Health::kCritical;
  std::string output;
};
absl::StatusOr<CheckUpdate> ParseCheckUpdateBody(std::string_view body);

}  // namespace pharos::agent
