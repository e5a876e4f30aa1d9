// Services of the catalog as xDS resources, as gRPC clients of `xds:///NAME` ask for them: of each
// name a Listener, a RouteConfiguration and a Cluster that say the same of every service, and a
// ClusterLoadAssignment with its healthy instances.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "google/protobuf/any.pb.h"
#include "registry/snapshot.h"

namespace pharos::rpc {

enum class XdsType : uint8_t { kListener, kRoute, kCluster, kEndpoints };
inline constexpr size_t kXdsTypes = 4;

std::string_view TypeUrlOf(XdsType type);
// nullopt for a type that is not served.
std::optional<XdsType> ParseTypeUrl(std::string_view type_url);

// What a name asks for: `orders`, or with a tag as in DNS, `v1.orders`; any letter case.
struct XdsName {
  std::string lower_service;
  std::string lower_tag;  // Empty: none.
};
std::optional<XdsName> ParseXdsName(std::string_view name);

struct XdsResource {
  std::string version;  // The same for the same content.
  google::protobuf::Any content;
};

// Makes resources, each once for all streams. One thread.
class XdsResources {
 public:
  // Names whose endpoints are kept; beyond it all are made anew when they are asked for.
  static constexpr size_t kKeptMax = 10'000;

  // The resource; null for a name that is none. Good until the next call.
  const XdsResource* Get(XdsType type, const std::string& name, const registry::Snapshot& snapshot);

 private:
  struct Kept {
    uint64_t service_index = 0;
    XdsResource resource;
  };
  absl::flat_hash_map<std::string, Kept> endpoints_;  // By name.
  XdsResource made_;
};

}  // namespace pharos::rpc
