#include "http/filter/record_schemas.h"

namespace pharos::http {

using registry::HealthCheck;
using registry::Node;
using registry::Service;
using registry::ServiceDetails;
using registry::TaggedAddress;

namespace {

std::string_view StatusText(const registry::Health& health) {
  switch (health) {
    case registry::Health::kPassing:
      return "passing";
    case registry::Health::kWarning:
      return "warning";
    case registry::Health::kCritical:
      return "critical";
  }
  return "";
}

constexpr auto kTaggedAddressFields = FilterFields<TaggedAddress>(
    FilterField<&TaggedAddress::address>("Address"), FilterField<&TaggedAddress::port>("Port"));
constexpr RecordSchema<TaggedAddress> kTaggedAddressSchema(kTaggedAddressFields);

constexpr auto kWeightsFields =
    FilterFields<Service>(FilterField<&Service::weight_passing>("Passing"),
                          FilterField<&Service::weight_warning>("Warning"));
constexpr RecordSchema<Service> kWeightsSchema(kWeightsFields);

constexpr auto kNodeFields = FilterFields<Node>(
    FilterField<&Node::id>("ID"), FilterField<&Node::name>("Node"),
    FilterField<&Node::address>("Address"), FilterField<&Node::datacenter>("Datacenter"),
    FilterField<&Node::tagged_addresses>("TaggedAddresses"), FilterField<&Node::meta>("Meta"));

constexpr auto kServiceFields = FilterFields<Service>(
    FilterField<&Service::id>("ID"), FilterField<&Service::name>("Service"),
    FilterField<&Service::tags>("Tags"), FilterField<&Service::meta>("Meta"),
    FilterField<&Service::port>("Port"), FilterField<&Service::address>("Address"),
    FilterField<&Service::details, &ServiceDetails::socket_path>("SocketPath"),
    FilterField<&Service::details, &ServiceDetails::kind>("Kind"),
    FilterField<&Service::enable_tag_override>("EnableTagOverride"),
    FilterRecordMap<&TaggedAddress::name, &Service::details, &ServiceDetails::tagged_addresses>(
        "TaggedAddresses", kTaggedAddressSchema),
    FilterRecord<&Itself<Service>>("Weights", kWeightsSchema));

constexpr auto kCheckFields = FilterFields<CheckView>(
    FilterField<&CheckView::node>("Node"),
    FilterField<&CheckView::check, &HealthCheck::id>("CheckID"),
    FilterField<&CheckView::check, &HealthCheck::name>("Name"),
    FilterField<&CheckView::check, &HealthCheck::status, &StatusText>("Status"),
    FilterField<&CheckView::check, &HealthCheck::notes>("Notes"),
    FilterField<&CheckView::check, &HealthCheck::output>("Output"),
    FilterField<&CheckView::check, &HealthCheck::service_id>("ServiceID"),
    FilterField<&CheckView::check, &HealthCheck::service_name>("ServiceName"),
    FilterField<&CheckView::service_tags>("ServiceTags"),
    FilterField<&CheckView::check, &HealthCheck::type>("Type"));

using Entry = CatalogServiceView;
constexpr auto kCatalogServiceFields = FilterFields<Entry>(
    FilterField<&Entry::node, &Node::id>("ID"), FilterField<&Entry::node, &Node::name>("Node"),
    FilterField<&Entry::node, &Node::address>("Address"),
    FilterField<&Entry::node, &Node::datacenter>("Datacenter"),
    FilterField<&Entry::node, &Node::tagged_addresses>("TaggedAddresses"),
    FilterField<&Entry::node, &Node::meta>("NodeMeta"),
    FilterField<&Entry::service, &Service::details, &ServiceDetails::kind>("ServiceKind"),
    FilterField<&Entry::service, &Service::id>("ServiceID"),
    FilterField<&Entry::service, &Service::name>("ServiceName"),
    FilterField<&Entry::service, &Service::tags>("ServiceTags"),
    FilterField<&Entry::service, &Service::address>("ServiceAddress"),
    FilterRecordMap<&TaggedAddress::name, &Entry::service, &Service::details,
                    &ServiceDetails::tagged_addresses>("ServiceTaggedAddresses",
                                                       kTaggedAddressSchema),
    FilterRecord<&Entry::service>("ServiceWeights", kWeightsSchema),
    FilterField<&Entry::service, &Service::meta>("ServiceMeta"),
    FilterField<&Entry::service, &Service::port>("ServicePort"),
    FilterField<&Entry::service, &Service::details, &ServiceDetails::socket_path>(
        "ServiceSocketPath"),
    FilterField<&Entry::service, &Service::enable_tag_override>("ServiceEnableTagOverride"));

constexpr auto kHealthServiceFields = FilterFields<HealthServiceView>(
    FilterRecord<&HealthServiceView::node>("Node", kNodeSchema),
    FilterRecord<&HealthServiceView::service>("Service", kServiceSchema),
    FilterRecordList<&HealthServiceView::checks>("Checks", kCheckSchema));

}  // namespace

constexpr RecordSchema<Node> kNodeSchema(kNodeFields);
constexpr RecordSchema<Service> kServiceSchema(kServiceFields);
constexpr RecordSchema<CheckView> kCheckSchema(kCheckFields);
constexpr RecordSchema<CatalogServiceView> kCatalogServiceSchema(kCatalogServiceFields);
constexpr RecordSchema<HealthServiceView> kHealthServiceSchema(kHealthServiceFields);

}  // namespace pharos::http
