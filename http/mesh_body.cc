#include "http/mesh_body.h"

#include <nlohmann/json.hpp>

#include "http/json_body.h"

namespace pharos::http {

absl::Status ReadProxy(const nlohmann::json& value, std::string& destination) {
  return ObjectReader(value, "Proxy")
      .String("DestinationServiceName", destination)
      .IgnoreOthers()
      .Finish();
}

absl::Status ReadConnect(const nlohmann::json& value, bool& native) {
  return ObjectReader(value, "Connect").Bool("Native", native).IgnoreOthers().Finish();
}

absl::Status ReadLocality(const nlohmann::json& value, std::string& region, std::string& zone) {
  return ObjectReader(value, "Locality").String("Region", region).String("Zone", zone).Finish();
}

}  // namespace pharos::http
