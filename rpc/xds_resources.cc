#include "rpc/xds_resources.h"

#include <algorithm>
#include <array>
#include <map>
#include <tuple>
#include <utility>

#include "absl/hash/hash.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/ip_address.h"
#include "proto/xds/cluster.pb.h"
#include "proto/xds/endpoint.pb.h"
#include "proto/xds/http_connection_manager.pb.h"
#include "proto/xds/listener.pb.h"
#include "proto/xds/route.pb.h"
#include "proto/xds/router.pb.h"
#include "registry/records.h"

namespace pharos::rpc {
namespace {

namespace core = ::envoy::config::core::v3;
namespace http = ::envoy::extensions::filters::network::http_connection_manager::v3;
using ::envoy::config::cluster::v3::Cluster;
using ::envoy::config::endpoint::v3::ClusterLoadAssignment;
using ::envoy::config::endpoint::v3::LocalityLbEndpoints;
using ::envoy::config::listener::v3::Listener;
using ::envoy::config::route::v3::RouteConfiguration;
using ::envoy::extensions::filters::http::router::v3::Router;

constexpr std::array<std::string_view, kXdsTypes> kTypeUrls = {
    "type.googleapis.com/envoy.config.listener.v3.Listener",
    "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
    "type.googleapis.com/envoy.config.cluster.v3.Cluster",
    "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
};
constexpr size_t kNameOctetsMax = 512;

bool IsLabel(std::string_view text) {
  return !text.empty() && text.size() <= 63 &&
         std::all_of(text.begin(), text.end(), [](char octet) {
           return absl::ascii_isalnum(static_cast<unsigned char>(octet)) || octet == '-' ||
                  octet == '_';
         });
}

void SetFromUs(core::ConfigSource& source) {
  source.mutable_ads();
  source.set_resource_api_version(core::V3);
}

Listener MakeListener(const std::string& name) {
  http::HttpConnectionManager manager;
  SetFromUs(*manager.mutable_rds()->mutable_config_source());
  manager.mutable_rds()->set_route_config_name(name);
  http::HttpFilter& filter = *manager.add_http_filters();
  filter.set_name("router");
  filter.mutable_typed_config()->PackFrom(Router());
  Listener listener;
  listener.set_name(name);
  listener.mutable_api_listener()->mutable_api_listener()->PackFrom(manager);
  return listener;
}

RouteConfiguration MakeRoute(const std::string& name) {
  RouteConfiguration configuration;
  configuration.set_name(name);
  auto& host = *configuration.add_virtual_hosts();
  host.set_name(name);
  host.add_domains("*");
  auto& route = *host.add_routes();
  route.mutable_match()->set_prefix("/");
  route.mutable_route()->set_cluster(name);
  return configuration;
}

Cluster MakeCluster(const std::string& name) {
  Cluster cluster;
  cluster.set_name(name);
  cluster.set_type(Cluster::EDS);
  SetFromUs(*cluster.mutable_eds_cluster_config()->mutable_eds_config());
  cluster.mutable_eds_cluster_config()->set_service_name(name);
  cluster.set_lb_policy(Cluster::ROUND_ROBIN);
  return cluster;
}

bool HasTag(const registry::Service& service, const std::string& lower_tag) {
  return lower_tag.empty() ||
         std::any_of(service.tags.begin(), service.tags.end(), [&](const std::string& tag) {
           return absl::EqualsIgnoreCase(tag, lower_tag);
         });
}

// Where and how much: instances of one place and one weight share a locality, as gRPC's round_robin
// looks at the weights of localities only.
using Place = std::tuple<std::string, std::string, uint32_t>;

std::map<Place, std::vector<core::SocketAddress>> FindPlaces(const XdsName& name,
                                                             const registry::Snapshot& snapshot) {
  std::map<Place, std::vector<core::SocketAddress>> places;
  const registry::ServiceEntry* service = snapshot.FindService(name.lower_service);
  if (service == nullptr) return places;
  for (const auto& instance : service->instances) {
    const registry::Service& its = *instance->service;
    const bool counts = instance->health != registry::Health::kCritical && its.port != 0 &&
                        instance->srv_weight > 0 && HasTag(its, name.lower_tag);
    const registry::CompactString& address =
        its.address.empty() ? instance->node->address : its.address;
    // A client cannot do anything with a host name.
    if (!counts || !IpAddress::Parse(address)) continue;
    const registry::LocalityView at = registry::LocalityOf(*instance);
    core::SocketAddress& endpoint =
        places[{std::string(at.region), std::string(at.zone), instance->srv_weight}].emplace_back();
    endpoint.set_address(address.str());
    endpoint.set_port_value(its.port);
  }
  return places;
}

ClusterLoadAssignment MakeEndpoints(const std::string& name, const XdsName& parsed,
                                    const registry::Snapshot& snapshot) {
  ClusterLoadAssignment assignment;
  assignment.set_cluster_name(name);
  for (const auto& [place, addresses] : FindPlaces(parsed, snapshot)) {
    const auto& [region, zone, weight] = place;
    LocalityLbEndpoints& locality = *assignment.add_endpoints();
    locality.mutable_locality()->set_region(region);
    locality.mutable_locality()->set_zone(zone);
    locality.mutable_locality()->set_sub_zone(absl::StrCat("weight-", weight));
    locality.mutable_load_balancing_weight()->set_value(weight *
                                                        static_cast<uint32_t>(addresses.size()));
    for (const core::SocketAddress& address : addresses) {
      auto& endpoint = *locality.add_lb_endpoints();
      *endpoint.mutable_endpoint()->mutable_address()->mutable_socket_address() = address;
      endpoint.set_health_status(core::HEALTHY);
      endpoint.mutable_load_balancing_weight()->set_value(weight);
    }
  }
  return assignment;
}

template <typename Message>
XdsResource Pack(const Message& message) {
  XdsResource resource;
  resource.content.PackFrom(message);
  // Not across versions of this program, for which nothing depends on it: a client that comes back
  // is then told again what it has.
  const std::string& octets = resource.content.value();
  resource.version =
      absl::StrFormat("%016x", absl::HashOf(absl::string_view(octets.data(), octets.size())));
  return resource;
}

}  // namespace

std::string_view TypeUrlOf(XdsType type) { return kTypeUrls[static_cast<size_t>(type)]; }

std::optional<XdsType> ParseTypeUrl(std::string_view type_url) {
  const auto found = std::find(kTypeUrls.begin(), kTypeUrls.end(), type_url);
  if (found == kTypeUrls.end()) return std::nullopt;
  return static_cast<XdsType>(found - kTypeUrls.begin());
}

std::optional<XdsName> ParseXdsName(std::string_view name) {
  if (name.size() > kNameOctetsMax) return std::nullopt;
  const size_t dot = name.find('.');
  const std::string_view service = dot == std::string_view::npos ? name : name.substr(dot + 1);
  const std::string_view tag = dot == std::string_view::npos ? "" : name.substr(0, dot);
  if (!IsLabel(service) || (dot != std::string_view::npos && !IsLabel(tag))) return std::nullopt;
  return XdsName{registry::LowerCase(service), registry::LowerCase(tag)};
}

const XdsResource* XdsResources::Get(XdsType type, const std::string& name,
                                     const registry::Snapshot& snapshot) {
  const std::optional<XdsName> parsed = ParseXdsName(name);
  if (!parsed) return nullptr;
  switch (type) {
    case XdsType::kListener:
      made_ = Pack(MakeListener(name));
      return &made_;
    case XdsType::kRoute:
      made_ = Pack(MakeRoute(name));
      return &made_;
    case XdsType::kCluster:
      made_ = Pack(MakeCluster(name));
      return &made_;
    case XdsType::kEndpoints:
      break;
  }
  const uint64_t index = std::max<uint64_t>(snapshot.ServiceIndex(parsed->lower_service), 1);
  if (endpoints_.size() >= kKeptMax && !endpoints_.contains(name)) endpoints_.clear();
  Kept& kept = endpoints_[name];
  if (kept.service_index != index) {
    kept.service_index = index;
    kept.resource = Pack(MakeEndpoints(name, *parsed, snapshot));
  }
  return &kept.resource;
}

}  // namespace pharos::rpc
