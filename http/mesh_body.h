// Parts of a service's JSON that only meshes and localities need, as all bodies have them.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "absl/status/status.h"

namespace pharos::http {

// `Proxy`: which service a proxy stands for. The rest of it is a proxy's own and is not looked at.
absl::Status ReadProxy(const nlohmann::json& value, std::string& destination);
// `Connect`: whether a service takes a mesh's connections itself.
absl::Status ReadConnect(const nlohmann::json& value, bool& native);
// `Locality`.
absl::Status ReadLocality(const nlohmann::json& value, std::string& region, std::string& zone);

}  // namespace pharos::http
