#include "http/tenancy.h"

#include "absl/strings/str_format.h"

namespace pharos::http {

absl::Status CheckTenancy(const Request& request) {
  for (const char* name : {"ns", "partition", "peer", "sg"}) {
    const std::string_view value = request.Parameter(name).value_or("");
    if (!value.empty() && value != "default") {
      return absl::InvalidArgumentError(absl::StrFormat(
          "Invalid query parameter: \"%s\" is \"%s\"; expected none, or \"default\"", name, value));
    }
  }
  return absl::OkStatus();
}

}  // namespace pharos::http
