#include "http/filter/record_schemas.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "http/filter/parse.h"

namespace pharos::http {
namespace {

// Records in which no two fields hold the same, so that a selector which reads a wrong one shows.
class RecordSchemasTest : public testing::Test {
 protected:
  RecordSchemasTest() {
    node_.id = "node_id";
    node_.name = "node_name";
    node_.address = "node_address";
    node_.datacenter = "dc1";
    node_.tagged_addresses = registry::StringPairs{{"lan", "node_lan"}};
    node_.meta = registry::StringPairs{{"os", "linux"}};
    service_.id = "service_id";
    service_.name = "service_name";
    service_.tags = std::vector<std::string>{"blue"};
    service_.address = "service_address";
    service_.port = 80;
    service_.meta = registry::StringPairs{{"ver", "1"}};
    registry::ServiceDetails details;
    details.tagged_addresses = {{.name = "lan", .address = "service_lan", .port = 81},
                                {.name = "wan", .address = "service_wan", .port = 82}};
    details.kind = "proxy";
    details.socket_path = "socket";
    service_.details = details;
    service_.weight_passing = 10;
    service_.weight_warning = 2;
    service_.enable_tag_override = true;
    check_.id = "check_id";
    check_.name = "check_name";
    check_.status = registry::Health::kWarning;
    check_.notes = "notes";
    check_.output = "output";
    check_.service_id = "service_id_of_check";
    check_.service_name = "service_name_of_check";
    check_.type = "ttl";
  }

  registry::Node node_;
  registry::Service service_;
  registry::HealthCheck check_;
};

template <typename Record>
void ExpectFits(const RecordSchema<Record>& schema, const Record& record,
                std::initializer_list<std::string_view> texts) {
  for (const std::string_view text : texts) {
    const auto filter = ParseFilter(text, schema);
    ASSERT_TRUE(filter.ok()) << text << ": " << filter.status();
    EXPECT_TRUE(filter->Matches(record)) << text;
  }
}

TEST_F(RecordSchemasTest, Node) {
  ExpectFits(kNodeSchema, node_,
             {"ID == node_id", "Node == node_name", "Address == node_address", "Datacenter == dc1",
              "TaggedAddresses.lan == node_lan", "Meta.os == linux"});
}

TEST_F(RecordSchemasTest, Service) {
  ExpectFits(kServiceSchema, service_,
             {"ID == service_id", "Service == service_name", "blue in Tags", "Meta.ver == 1",
              "Port == 80", "Address == service_address", "SocketPath == socket", "Kind == proxy",
              "EnableTagOverride == true", "TaggedAddresses.lan.Address == service_lan",
              "TaggedAddresses.wan.Port == 82", "Weights.Passing == 10", "Weights.Warning == 2"});
}

TEST_F(RecordSchemasTest, Check) {
  ExpectFits(kCheckSchema, {.check = &check_, .node = "n1", .service_tags = service_.tags},
             {"Node == n1", "CheckID == check_id", "Name == check_name", "Status == warning",
              "Notes == notes", "Output == output", "ServiceID == service_id_of_check",
              "ServiceName == service_name_of_check", "blue in ServiceTags", "Type == ttl"});
}

TEST_F(RecordSchemasTest, CheckStatusIsTheWordOfTheApi) {
  const CheckView view = {.check = &check_, .node = "n1", .service_tags = {}};
  check_.status = registry::Health::kPassing;
  ExpectFits(kCheckSchema, view, {"Status == passing"});
  check_.status = registry::Health::kCritical;
  ExpectFits(kCheckSchema, view, {"Status == critical"});
}

TEST_F(RecordSchemasTest, CatalogService) {
  ExpectFits(
      kCatalogServiceSchema, {.node = &node_, .service = &service_},
      {"ID == node_id", "Node == node_name", "Address == node_address", "Datacenter == dc1",
       "TaggedAddresses.lan == node_lan", "NodeMeta.os == linux", "ServiceKind == proxy",
       "ServiceID == service_id", "ServiceName == service_name", "blue in ServiceTags",
       "ServiceAddress == service_address", "ServiceTaggedAddresses.lan.Port == 81",
       "ServiceWeights.Passing == 10", "ServiceWeights.Warning == 2", "ServiceMeta.ver == 1",
       "ServicePort == 80", "ServiceSocketPath == socket", "ServiceEnableTagOverride == true"});
}

TEST_F(RecordSchemasTest, HealthService) {
  const CheckView checks[] = {{.check = &check_, .node = "n1", .service_tags = {}}};
  ExpectFits(kHealthServiceSchema, {.node = &node_, .service = &service_, .checks = checks},
             {"Node.Node == node_name", "Node.Meta.os == linux", "Service.Service == service_name",
              "Service.TaggedAddresses.lan.Port == 81", "Service.Weights.Passing == 10",
              "Checks.CheckID == check_id", "Checks.Status == warning", "Checks is not empty"});
}

}  // namespace
}  // namespace pharos::http
