#include "http/catalog_write.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pharos::http {
namespace {

using testing::HasSubstr;

TEST(ParseCatalogRegister, ReadsEverythingWithoutRegardToCase) {
  const auto command = ParseCatalogRegister(R"({
    "node": "alpha", "ADDRESS": "10.0.0.1", "NodeMeta": {"rack": "r1"},
    "TaggedAddresses": {"wan": "203.0.113.1"}, "SkipNodeUpdate": true,
    "Service": {"Service": "web", "ID": "web-1", "Tags": ["v1"], "Port": 80, "Address": "10.0.0.2",
                "Meta": {"v": "2"}, "enable_tag_override": true,
                "Weights": {"Passing": 5, "Warning": 2},
                "TaggedAddresses": {"lan": {"Address": "10.0.0.3", "Port": 81}}},
    "Check": {"Name": "alive", "Status": "passing", "ServiceID": "web-1",
              "Definition": {"HTTP": "http://x", "Interval": "10s", "Timeout": 1000000000}},
    "Checks": [{"Node": "ALPHA", "CheckID": "disk", "Name": "Disk", "Status": "odd"}]})",
                                            "dc1");
  ASSERT_TRUE(command.ok()) << command.status();
  const catalog::v1::Register& change = command->register_();
  EXPECT_EQ(change.node().name(), "alpha");
  EXPECT_EQ(change.node().address(), "10.0.0.1");
  EXPECT_EQ(change.node().meta().at("rack"), "r1");
  EXPECT_EQ(change.node().tagged_addresses().at("wan"), "203.0.113.1");
  EXPECT_TRUE(change.skip_node_update());
  ASSERT_EQ(change.services_size(), 1);
  const catalog::v1::Service& web = change.services(0);
  EXPECT_EQ(web.id(), "web-1");
  EXPECT_EQ(web.port(), 80U);
  EXPECT_EQ(web.weights().passing(), 5U);
  EXPECT_TRUE(web.enable_tag_override());
  EXPECT_EQ(web.tagged_addresses().at("lan").port(), 81U);
  ASSERT_EQ(change.checks_size(), 2);
  EXPECT_EQ(change.checks(0).id(), "alive") << "without an id, the name is the id";
  EXPECT_EQ(change.checks(0).type(), "http");
  EXPECT_EQ(change.checks(0).definition(),
            R"({"Interval":"10s","Timeout":"1s","HTTP":"http://x"})");
  EXPECT_EQ(change.checks(1).status(), catalog::v1::HEALTH_STATUS_WARNING)
      << "a word that is neither passing nor critical";
}

TEST(ParseCatalogRegister, TakesAllThatClientsOfTodaySend) {
  const auto command = ParseCatalogRegister(R"({
    "ID": "", "Node": "ext", "Address": "10.1.1.1", "TaggedAddresses": null, "NodeMeta": null,
    "Datacenter": "", "SkipNodeUpdate": false, "Partition": "", "Locality": null,
    "Service": {"Kind": "", "ID": "db", "Service": "db", "Tags": null, "Meta": null, "Port": 5432,
                "Address": "", "SocketPath": "", "TaggedAddresses": null,
                "Weights": {"Passing": 0, "Warning": 0}, "EnableTagOverride": false,
                "CreateIndex": 0, "ModifyIndex": 0, "ContentHash": "6a7e", "Proxy": null,
                "Connect": null, "PeerName": "", "Namespace": "", "Partition": "",
                "Datacenter": "", "Locality": null},
    "Check": null,
    "Checks": [{"Node": "ext", "CheckID": "c", "Name": "c", "Status": "passing", "Notes": "",
                "Output": "", "ServiceID": "db", "ServiceName": "db", "ServiceTags": null,
                "Type": "", "Namespace": "", "Partition": "", "ExposedPort": 0, "PeerName": "",
                "Definition": {"Interval": "5s", "Timeout": "0s", "HTTP": "", "Header": null,
                    "Method": "", "Body": "", "TLSServerName": "", "TLSSkipVerify": false,
                    "TCP": "10.1.1.1:5432", "TCPUseTLS": true, "UDP": "", "GRPC": "",
                    "OSService": "", "GRPCUseTLS": false,
                    "DeregisterCriticalServiceAfter": "0s"},
                "CreateIndex": 0, "ModifyIndex": 0}]})",
                                            "dc1");
  ASSERT_TRUE(command.ok()) << command.status();
  EXPECT_EQ(command->register_().checks(0).definition(),
            R"({"Interval":"5s","TCP":"10.1.1.1:5432","TCPUseTLS":true})");
}

TEST(ParseCatalogRegister, RefusesInConsulsWords) {
  const struct {
    std::string body;
    absl::StatusCode code;
    std::string text;
  } kRows[] = {
      {"", absl::StatusCode::kInvalidArgument, "Request decode failed: EOF"},
      {" \n", absl::StatusCode::kInvalidArgument, "Request decode failed: EOF"},
      {"zzz", absl::StatusCode::kInvalidArgument,
       "Request decode failed: invalid character 'z' looking for beginning of value"},
      {R"({"Node":"x")", absl::StatusCode::kInvalidArgument,
       "Request decode failed: unexpected EOF"},
      {"[]", absl::StatusCode::kInvalidArgument,
       "Request decode failed: json: cannot unmarshal array into Go value of type RegisterRequest"},
      {R"({"Node":5})", absl::StatusCode::kInvalidArgument,
       "Request decode failed: json: cannot unmarshal number into Go struct field "
       "RegisterRequest.Node of type string"},
      {R"({"Node":"x","Address":"1.1.1.1","Bogus":1})", absl::StatusCode::kInvalidArgument,
       "Request decode failed: json: unknown field \"Bogus\""},
      {R"({"Address":"1.1.1.1"})", absl::StatusCode::kInternal, "Must provide node"},
      {R"({"Node":"x"})", absl::StatusCode::kInternal,
       "Must provide address if SkipNodeUpdate is not set"},
      {R"({"Node":"x","Address":"a","ID":"zz"})", absl::StatusCode::kInternal,
       "Bad node ID: uuid string is wrong length"},
      {R"({"Node":"x","Address":"a","Datacenter":"dc2"})", absl::StatusCode::kInternal,
       "No path to datacenter"},
      {R"({"Node":"x","Address":"a","Service":{"ID":"q"}})", absl::StatusCode::kInternal,
       "Must provide service name with ID"},
      {R"({"Node":"x","Address":"a","Service":{"Service":"q","Port":70000}})",
       absl::StatusCode::kInvalidArgument,
       "Service.Port is 70000; expected a port from 0 to 65535"},
      {"{\"Node\":\"\xFF\"}", absl::StatusCode::kInvalidArgument,
       "Request decode failed: octet 9 is no UTF-8; expected JSON in UTF-8"},
  };
  for (const auto& row : kRows) {
    const auto command = ParseCatalogRegister(row.body, "dc1");
    EXPECT_EQ(command.status().code(), row.code) << row.body;
    EXPECT_THAT(std::string(command.status().message()), HasSubstr(row.text)) << row.body;
  }
}

TEST(ParseCatalogRegister, BoundsTheDepth) {
  const std::string body = std::string(100'000, '[') + std::string(100'000, ']');
  EXPECT_THAT(std::string(ParseCatalogRegister(body, "dc1").status().message()),
              HasSubstr("nested at most 32 deep"));
}

TEST(ParseCatalogDeregister, ReadsWhatToRemove) {
  const auto command = ParseCatalogDeregister(
      R"({"Node":"x","ServiceID":"s","CheckID":"c","Datacenter":"DC1"})", "dc1");
  ASSERT_TRUE(command.ok()) << command.status();
  EXPECT_EQ(command->deregister().node(), "x");
  EXPECT_EQ(command->deregister().service_id(), "s");
  EXPECT_EQ(command->deregister().check_id(), "c");
  EXPECT_EQ(std::string(ParseCatalogDeregister("{}", "dc1").status().message()),
            "Must provide node");
}

}  // namespace
}  // namespace pharos::http
