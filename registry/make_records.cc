#include "registry/make_records.h"

#include <algorithm>
#include <tuple>

#include "registry/records.h"

namespace pharos::registry {
namespace {

constexpr uint32_t kWeightMax = 65535;

template <typename Map>
StringPairs SortedPairs(const Map& map) {
  StringPairs pairs(map.begin(), map.end());
  std::sort(pairs.begin(), pairs.end());
  return pairs;
}

Health HealthOf(catalog::v1::HealthStatus status) {
  switch (status) {
    case catalog::v1::HEALTH_STATUS_PASSING:
      return Health::kPassing;
    case catalog::v1::HEALTH_STATUS_WARNING:
      return Health::kWarning;
    default:
      return Health::kCritical;
  }
}

}  // namespace

bool SameContent(const Node& a, const Node& b) {
  const auto tied = [](const Node& node) {
    return std::tie(node.name, node.id, node.datacenter, node.address, node.tagged_addresses,
                    node.meta, node.locality);
  };
  return tied(a) == tied(b);
}

bool SameContent(const Service& a, const Service& b) {
  const auto tied = [](const Service& service) {
    return std::tie(service.id, service.name, service.tags, service.address, service.port,
                    service.meta, service.details, service.weight_passing, service.weight_warning,
                    service.enable_tag_override, service.connect_native);
  };
  return tied(a) == tied(b);
}

bool SameContent(const HealthCheck& a, const HealthCheck& b) {
  return std::tie(a.id, a.name, a.status, a.notes, a.output, a.service_id, a.service_name, a.type,
                  a.interval, a.timeout, a.definition) ==
         std::tie(b.id, b.name, b.status, b.notes, b.output, b.service_id, b.service_name, b.type,
                  b.interval, b.timeout, b.definition);
}

std::unique_ptr<Node> MakeNode(const catalog::v1::Node& given, const std::string& datacenter) {
  auto node = std::make_unique<Node>();
  node->name = given.name();
  node->id = given.id();
  node->datacenter = given.datacenter().empty() ? datacenter : LowerCase(given.datacenter());
  node->address = given.address();
  node->tagged_addresses = SortedPairs(given.tagged_addresses());
  node->meta = SortedPairs(given.meta());
  node->locality = Locality{given.locality().region(), given.locality().zone()};
  FillNodeRecords(*node);
  return node;
}

std::unique_ptr<Service> MakeService(const catalog::v1::Service& given) {
  auto service = std::make_unique<Service>();
  service->id = given.id().empty() ? given.name() : given.id();
  service->name = given.name();
  service->tags = std::vector<std::string>(given.tags().begin(), given.tags().end());
  service->address = given.address();
  service->port = static_cast<uint16_t>(given.port());
  service->meta = SortedPairs(given.meta());
  ServiceDetails details{.tagged_addresses = {},
                         .kind = given.kind(),
                         .socket_path = given.socket_path(),
                         .proxy_destination = given.proxy_destination(),
                         .locality = {given.locality().region(), given.locality().zone()}};
  for (const auto& [name, tagged] : given.tagged_addresses()) {
    details.tagged_addresses.push_back(
        {name, tagged.address(), static_cast<uint16_t>(tagged.port())});
  }
  std::ranges::sort(details.tagged_addresses, {}, &TaggedAddress::name);
  service->details = std::move(details);
  const catalog::v1::Weights& weights = given.weights();
  // Weights that SRV cannot carry count as none given.
  if (given.has_weights() && weights.passing() >= 1 && weights.passing() <= kWeightMax &&
      weights.warning() <= kWeightMax) {
    service->weight_passing = static_cast<uint16_t>(weights.passing());
    service->weight_warning = static_cast<uint16_t>(weights.warning());
  }
  service->enable_tag_override = given.enable_tag_override();
  service->connect_native = given.connect_native();
  return service;
}

std::unique_ptr<HealthCheck> MakeHealthCheck(const catalog::v1::HealthCheck& given) {
  auto check = std::make_unique<HealthCheck>();
  check->id = given.id();
  check->name = given.name();
  check->status = HealthOf(given.status());
  check->notes = given.notes();
  check->output = given.output();
  check->service_id = given.service_id();
  check->type = given.type();
  check->interval = given.interval();
  check->timeout = given.timeout();
  check->definition = given.definition();
  return check;
}

}  // namespace pharos::registry
