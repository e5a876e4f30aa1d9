#include "rpc/xds_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "proto/xds/cluster.pb.h"
#include "proto/xds/endpoint.pb.h"
#include "proto/xds/http_connection_manager.pb.h"
#include "proto/xds/listener.pb.h"
#include "proto/xds/route.pb.h"
#include "registry/catalog.h"

namespace pharos::rpc {
namespace {

using ::envoy::config::endpoint::v3::ClusterLoadAssignment;
using testing::ElementsAre;
using testing::IsEmpty;

class XdsSessionTest : public testing::Test {
 protected:
  XdsSessionTest() : catalog_("dc1"), snapshot_(catalog_.MakeSnapshot()) {}

  struct Given {
    std::string id, address = "10.0.0.9";
    uint32_t port = 80;
    uint32_t weight = 1;
    std::string zone = {}, tag = {};
    catalog::v1::HealthStatus health = catalog::v1::HEALTH_STATUS_PASSING;
  };
  void Set(const Given& given) {
    catalog::v1::Command command;
    catalog::v1::Register& change = *command.mutable_register_();
    change.mutable_node()->set_name("alpha");
    change.mutable_node()->set_address("10.0.0.1");
    catalog::v1::Service& service = *change.add_services();
    service.set_name("Orders");
    service.set_id(given.id);
    service.set_address(given.address);
    service.set_port(given.port);
    service.mutable_weights()->set_passing(given.weight);
    service.mutable_weights()->set_warning(1);
    service.mutable_locality()->set_zone(given.zone);
    if (!given.tag.empty()) service.add_tags(given.tag);
    catalog::v1::HealthCheck& check = *change.add_checks();
    check.set_id("c-" + given.id);
    check.set_service_id(given.id);
    check.set_status(given.health);
    CHECK(catalog_.Apply(++index_, command).ok());
    snapshot_ = catalog_.MakeSnapshot();
  }

  // `ADDRESS:PORT` of each endpoint behind its zone and its locality's weight.
  static std::vector<std::string> EndpointsOf(const google::protobuf::Any& any) {
    ClusterLoadAssignment assignment;
    CHECK(any.UnpackTo(&assignment));
    std::vector<std::string> found;
    for (const auto& locality : assignment.endpoints()) {
      for (const auto& endpoint : locality.lb_endpoints()) {
        const auto& at = endpoint.endpoint().address().socket_address();
        found.push_back(locality.locality().zone() + "*" +
                        std::to_string(locality.load_balancing_weight().value()) + " " +
                        at.address() + ":" + std::to_string(at.port_value()));
      }
    }
    return found;
  }

  static SotwSession::Request Want(XdsType type, const std::vector<std::string>& names,
                                   const std::string& nonce = "") {
    SotwSession::Request request;
    request.set_type_url(std::string(TypeUrlOf(type)));
    for (const std::string& name : names) request.add_resource_names(name);
    request.set_response_nonce(nonce);
    return request;
  }

  registry::Catalog catalog_;
  uint64_t index_ = 1;
  std::unique_ptr<const registry::Snapshot> snapshot_;
  XdsResources resources_;
  XdsRefusal refusal_;
};

TEST_F(XdsSessionTest, LeadsFromAListenerToTheEndpoints) {
  Set({.id = "o1"});
  SotwSession session;
  ASSERT_TRUE(session.Take(Want(XdsType::kListener, {"orders"}), refusal_).ok());
  auto response = session.Next(resources_, *snapshot_);
  ASSERT_TRUE(response);
  EXPECT_EQ(session.Next(resources_, *snapshot_), std::nullopt);
  ::envoy::config::listener::v3::Listener listener;
  ASSERT_TRUE(response->resources(0).UnpackTo(&listener));
  ::envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager manager;
  ASSERT_TRUE(listener.api_listener().api_listener().UnpackTo(&manager));
  const std::string route_name = manager.rds().route_config_name();

  ASSERT_TRUE(session.Take(Want(XdsType::kRoute, {route_name}), refusal_).ok());
  response = session.Next(resources_, *snapshot_);
  ::envoy::config::route::v3::RouteConfiguration route;
  ASSERT_TRUE(response->resources(0).UnpackTo(&route));
  const std::string cluster_name = route.virtual_hosts(0).routes(0).route().cluster();

  ASSERT_TRUE(session.Take(Want(XdsType::kCluster, {cluster_name}), refusal_).ok());
  response = session.Next(resources_, *snapshot_);
  ::envoy::config::cluster::v3::Cluster cluster;
  ASSERT_TRUE(response->resources(0).UnpackTo(&cluster));
  EXPECT_THAT(session.Services(), IsEmpty());
  ASSERT_TRUE(
      session
          .Take(Want(XdsType::kEndpoints, {cluster.eds_cluster_config().service_name()}), refusal_)
          .ok());
  EXPECT_THAT(session.Services(), ElementsAre("orders"));
  response = session.Next(resources_, *snapshot_);
  EXPECT_THAT(EndpointsOf(response->resources(0)), ElementsAre("*1 10.0.0.9:80"));
}

TEST_F(XdsSessionTest, NamesInstancesThatCanBeCalled) {
  Set({.id = "o1", .weight = 3, .zone = "a"});
  Set({.id = "o2", .address = "10.0.0.8", .weight = 3, .zone = "a"});
  Set({.id = "o3", .address = "", .zone = "a", .tag = "V1"});
  Set({.id = "o4",
       .address = "10.0.0.7",
       .zone = "b",
       .health = catalog::v1::HEALTH_STATUS_WARNING});
  Set({.id = "critical", .health = catalog::v1::HEALTH_STATUS_CRITICAL});
  Set({.id = "without a port", .port = 0});
  Set({.id = "elsewhere", .address = "orders.example"});
  const auto* all = resources_.Get(XdsType::kEndpoints, "ORDERS", *snapshot_);
  EXPECT_THAT(EndpointsOf(all->content), ElementsAre("a*1 10.0.0.1:80", "a*6 10.0.0.9:80",
                                                     "a*6 10.0.0.8:80", "b*1 10.0.0.7:80"));
  const auto* tagged = resources_.Get(XdsType::kEndpoints, "v1.orders", *snapshot_);
  EXPECT_THAT(EndpointsOf(tagged->content), ElementsAre("a*1 10.0.0.1:80"));
  EXPECT_EQ(resources_.Get(XdsType::kEndpoints, "a.b.c", *snapshot_), nullptr);
  EXPECT_EQ(resources_.Get(XdsType::kListener, "", *snapshot_), nullptr);
  const auto* none = resources_.Get(XdsType::kEndpoints, "nobody", *snapshot_);
  EXPECT_THAT(EndpointsOf(none->content), IsEmpty()) << "may come, and calls may wait for it";
}

TEST_F(XdsSessionTest, SendsEndpointsAgainWhenTheyChangeAndOnlyThen) {
  Set({.id = "o1"});
  SotwSession session;
  ASSERT_TRUE(session.Take(Want(XdsType::kEndpoints, {"orders", "other"}), refusal_).ok());
  auto response = session.Next(resources_, *snapshot_);
  ASSERT_EQ(response->resources_size(), 2);
  ASSERT_TRUE(
      session.Take(Want(XdsType::kEndpoints, {"orders", "other"}, response->nonce()), refusal_)
          .ok());
  EXPECT_EQ(session.Next(resources_, *snapshot_), std::nullopt) << "an ACK";

  Set({.id = "o1", .tag = "new"});
  session.Touch({"orders"});
  EXPECT_EQ(session.Next(resources_, *snapshot_), std::nullopt) << "tags are not to be seen";
  Set({.id = "o1", .port = 81});
  session.Touch({"orders"});
  Set({.id = "o1", .port = 82});
  session.Touch({"orders"});
  const auto second = session.Next(resources_, *snapshot_);
  ASSERT_TRUE(second);
  ASSERT_EQ(second->resources_size(), 1) << "what did not change is left out";
  EXPECT_THAT(EndpointsOf(second->resources(0)), ElementsAre("*1 10.0.0.9:82"));
  EXPECT_NE(second->version_info(), response->version_info());

  auto stale = Want(XdsType::kEndpoints, {}, response->nonce());
  ASSERT_TRUE(session.Take(stale, refusal_).ok());
  EXPECT_THAT(session.Services(), ElementsAre("orders", "other")) << "about an older response";
  auto nack = Want(XdsType::kEndpoints, {"orders", "other"}, second->nonce());
  nack.mutable_error_detail()->set_message("no");
  ASSERT_TRUE(session.Take(nack, refusal_).ok());
  EXPECT_EQ(refusal_.message, "no");
  EXPECT_EQ(session.Next(resources_, *snapshot_), std::nullopt) << "it would refuse it again";
  ASSERT_TRUE(session.Take(Want(XdsType::kEndpoints, {"orders"}, second->nonce()), refusal_).ok());
  EXPECT_THAT(session.Services(), ElementsAre("orders"));
}

TEST_F(XdsSessionTest, RefusesWhatItDoesNotServe) {
  SotwSession session;
  SotwSession::Request request;
  request.set_type_url("type.googleapis.com/envoy.extensions.Secret");
  EXPECT_TRUE(absl::IsInvalidArgument(session.Take(request, refusal_)));
  std::vector<std::string> many;
  for (size_t i = 0; i <= kXdsNamesMax; ++i) many.push_back("s" + std::to_string(i));
  EXPECT_TRUE(absl::IsResourceExhausted(session.Take(Want(XdsType::kCluster, many), refusal_)));
  DeltaSession delta;
  DeltaSession::Request asks;
  asks.set_type_url(std::string(TypeUrlOf(XdsType::kCluster)));
  for (const std::string& name : many) asks.add_resource_names_subscribe(name);
  EXPECT_TRUE(absl::IsResourceExhausted(delta.Take(asks, refusal_)));
}

TEST_F(XdsSessionTest, SendsIncrementsToThoseWhoAskForThem) {
  Set({.id = "o1"});
  DeltaSession session;
  DeltaSession::Request request;
  request.set_type_url(std::string(TypeUrlOf(XdsType::kEndpoints)));
  request.add_resource_names_subscribe("orders");
  request.add_resource_names_subscribe("not.a.name");
  ASSERT_TRUE(session.Take(request, refusal_).ok());
  const auto first = session.Next(resources_, *snapshot_);
  ASSERT_TRUE(first);
  ASSERT_EQ(first->resources_size(), 1);
  EXPECT_EQ(first->resources(0).name(), "orders");
  EXPECT_THAT(first->removed_resources(), ElementsAre("not.a.name"));
  EXPECT_EQ(session.Next(resources_, *snapshot_), std::nullopt);

  Set({.id = "o1", .port = 81});
  session.Touch({"orders"});
  const auto second = session.Next(resources_, *snapshot_);
  ASSERT_TRUE(second);
  EXPECT_THAT(EndpointsOf(second->resources(0).resource()), ElementsAre("*1 10.0.0.9:81"));

  DeltaSession resumed;
  DeltaSession::Request knows;
  knows.set_type_url(request.type_url());
  knows.add_resource_names_subscribe("orders");
  (*knows.mutable_initial_resource_versions())["orders"] = second->resources(0).version();
  ASSERT_TRUE(resumed.Take(knows, refusal_).ok());
  EXPECT_EQ(resumed.Next(resources_, *snapshot_), std::nullopt) << "it has the newest";
  DeltaSession::Request leaves;
  leaves.set_type_url(request.type_url());
  leaves.add_resource_names_unsubscribe("orders");
  ASSERT_TRUE(resumed.Take(leaves, refusal_).ok());
  Set({.id = "o1", .port = 82});
  resumed.Touch({"orders"});
  EXPECT_EQ(resumed.Next(resources_, *snapshot_), std::nullopt);
}

}  // namespace
}  // namespace pharos::rpc
