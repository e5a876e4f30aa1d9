#include "http/catalog_write.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "base/go_duration.h"
#include "base/json_writer.h"
#include "base/status_macros.h"
#include "http/json_body.h"
#include "http/mesh_body.h"

namespace pharos::http {
namespace {

using catalog::v1::Command;
using nlohmann::json;

constexpr int64_t kPortMax = 65535;
constexpr size_t kUuidOctets = 36;

void AddPairs(const TextPairs& pairs, google::protobuf::Map<std::string, std::string>& map) {
  for (const auto& [key, value] : pairs) map[key] = value;
}

absl::Status CheckPort(std::string_view what, int64_t port) {
  if (port >= 0 && port <= kPortMax) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrFormat("%s is %d; expected a port from 0 to 65535", what, port));
}

absl::Status CheckDatacenter(const std::string& given, const std::string& ours) {
  if (given.empty() || absl::AsciiStrToLower(given) == ours) return absl::OkStatus();
  return absl::InternalError("No path to datacenter");
}

absl::Status ReadTaggedAddress(const std::string& name, const json& value,
                               catalog::v1::Service& service) {
  std::string address;
  int64_t port = 0;
  RETURN_IF_ERROR(
      ObjectReader(value, "ServiceAddress").String("Address", address).Int("Port", port).Finish());
  RETURN_IF_ERROR(CheckPort(absl::StrFormat("TaggedAddresses[\"%s\"].Port", name), port));
  catalog::v1::TaggedAddress& tagged = (*service.mutable_tagged_addresses())[name];
  tagged.set_address(address);
  tagged.set_port(static_cast<uint32_t>(port));
  return absl::OkStatus();
}

absl::Status ReadWeights(const json& value, catalog::v1::Service& service) {
  int64_t passing = 1, warning = 1;
  RETURN_IF_ERROR(
      ObjectReader(value, "Weights").Int("Passing", passing).Int("Warning", warning).Finish());
  service.mutable_weights()->set_passing(static_cast<uint32_t>(std::max<int64_t>(passing, 0)));
  service.mutable_weights()->set_warning(static_cast<uint32_t>(std::max<int64_t>(warning, 0)));
  return absl::OkStatus();
}

absl::Status ReadService(const json& value, catalog::v1::Service& service) {
  std::vector<std::string> tags;
  TextPairs meta;
  int64_t port = 0;
  bool enable_tag_override = false, connect_native = false;
  ObjectReader reader(value, "NodeService");
  reader.String("ID", *service.mutable_id())
      .String("Service", *service.mutable_name())
      .Strings("Tags", tags)
      .String("Address", *service.mutable_address())
      .Pairs("Meta", meta)
      .Int("Port", port)
      .Bool("EnableTagOverride", enable_tag_override)
      .String("Kind", *service.mutable_kind())
      .String("SocketPath", *service.mutable_socket_path())
      .Each("TaggedAddresses",
            [&](const std::string& name, const json& tagged) {
              return ReadTaggedAddress(name, tagged, service);
            })
      .With("Weights", [&](const json& weights) { return ReadWeights(weights, service); })
      .With(
          "Proxy",
          [&](const json& proxy) { return ReadProxy(proxy, *service.mutable_proxy_destination()); })
      .With("Connect", [&](const json& connect) { return ReadConnect(connect, connect_native); })
      .With("Locality", [&](const json& locality) {
        return ReadLocality(locality, *service.mutable_locality()->mutable_region(),
                            *service.mutable_locality()->mutable_zone());
      });
  for (const char* unused : {"Namespace", "Partition", "PeerName", "Datacenter", "ContentHash",
                             "CreateIndex", "ModifyIndex", "LocallyRegisteredAsSidecar"}) {
    reader.Ignore(unused);
  }
  RETURN_IF_ERROR(reader.Finish());
  service.set_connect_native(connect_native);
  RETURN_IF_ERROR(CheckPort("Service.Port", port));
  service.set_port(static_cast<uint32_t>(port));
  service.set_enable_tag_override(enable_tag_override);
  for (std::string& tag : tags) service.add_tags(std::move(tag));
  AddPairs(meta, *service.mutable_meta());
  if (service.name().empty() && !service.id().empty()) {
    return absl::InternalError("Must provide service name with ID");
  }
  return absl::OkStatus();
}

// How others may run a check, in the form that clients read: what is not given is left out.
struct CheckDefinition {
  std::string http, method, body, tcp, udp, grpc, h2ping, os_service, tls_server_name;
  std::vector<std::pair<std::string, std::vector<std::string>>> header;
  bool tls_skip_verify = false, grpc_use_tls = false, tcp_use_tls = false;
  bool h2ping_use_tls = false, disable_redirects = false;
  absl::Duration interval, timeout, deregister_after;
};

absl::StatusOr<CheckDefinition> ReadDefinition(const json& value) {
  CheckDefinition definition;
  RETURN_IF_ERROR(ObjectReader(value, "HealthCheckDefinition")
                      .String("HTTP", definition.http)
                      .String("Method", definition.method)
                      .String("Body", definition.body)
                      .PairsOfLists("Header", definition.header)
                      .Bool("TLSSkipVerify", definition.tls_skip_verify)
                      .String("TCP", definition.tcp)
                      .Bool("TCPUseTLS", definition.tcp_use_tls)
                      .String("UDP", definition.udp)
                      .String("GRPC", definition.grpc)
                      .Bool("GRPCUseTLS", definition.grpc_use_tls)
                      .String("H2PING", definition.h2ping)
                      .Bool("H2PingUseTLS", definition.h2ping_use_tls)
                      .String("OSService", definition.os_service)
                      .String("TLSServerName", definition.tls_server_name)
                      .Bool("DisableRedirects", definition.disable_redirects)
                      .Duration("Interval", definition.interval)
                      .Duration("Timeout", definition.timeout)
                      .Duration("DeregisterCriticalServiceAfter", definition.deregister_after)
                      .Ignore("IntervalDuration")
                      .Ignore("TimeoutDuration")
                      .Ignore("DeregisterCriticalServiceAfterDuration")
                      .Ignore("SessionName")
                      .Finish());
  return definition;
}

std::string DefinitionJson(const CheckDefinition& definition) {
  JsonWriter writer;
  const auto text = [&writer](std::string_view name, const std::string& value) {
    if (!value.empty()) writer.Field(name, value);
  };
  const auto duration = [&writer](std::string_view name, absl::Duration value) {
    if (value != absl::ZeroDuration()) writer.Field(name, FormatGoDuration(value));
  };
  writer.BeginObject();
  duration("Interval", definition.interval);
  duration("Timeout", definition.timeout);
  duration("DeregisterCriticalServiceAfter", definition.deregister_after);
  text("HTTP", definition.http);
  if (!definition.header.empty()) {
    writer.Key("Header");
    writer.BeginObject();
    for (const auto& [name, values] : definition.header) {
      writer.Key(name);
      writer.BeginArray();
      for (const std::string& value : values) writer.String(value);
      writer.EndArray();
    }
    writer.EndObject();
  }
  text("Method", definition.method);
  text("Body", definition.body);
  const auto flag = [&writer](std::string_view name, bool value) {
    if (value) writer.BoolField(name, true);
  };
  flag("DisableRedirects", definition.disable_redirects);
  text("TLSServerName", definition.tls_server_name);
  flag("TLSSkipVerify", definition.tls_skip_verify);
  text("TCP", definition.tcp);
  flag("TCPUseTLS", definition.tcp_use_tls);
  text("UDP", definition.udp);
  text("GRPC", definition.grpc);
  flag("GRPCUseTLS", definition.grpc_use_tls);
  text("H2PING", definition.h2ping);
  flag("H2PingUseTLS", definition.h2ping_use_tls);
  text("OSService", definition.os_service);
  writer.EndObject();
  const std::string written = writer.Take();
  return written == "{}" ? "" : written;
}

std::string_view TypeOf(const CheckDefinition& definition) {
  if (!definition.http.empty()) return "http";
  if (!definition.tcp.empty()) return "tcp";
  if (!definition.udp.empty()) return "udp";
  if (!definition.grpc.empty()) return "grpc";
  if (!definition.h2ping.empty()) return "h2ping";
  if (!definition.os_service.empty()) return "os_service";
  return "";
}

// Consul keeps any word, and takes what is neither passing nor critical for something in between;
// we call it a warning.
catalog::v1::HealthStatus ParseStatus(std::string_view status) {
  if (status == "passing") return catalog::v1::HEALTH_STATUS_PASSING;
  if (status == "critical" || status.empty()) return catalog::v1::HEALTH_STATUS_CRITICAL;
  return catalog::v1::HEALTH_STATUS_WARNING;
}

absl::Status ReadCheck(const json& value, const std::string& node,
                       catalog::v1::HealthCheck& check) {
  std::string status, check_node;
  ObjectReader reader(value, "HealthCheck");
  reader.String("Node", check_node)
      .String("CheckID", *check.mutable_id())
      .String("Name", *check.mutable_name())
      .String("Status", status)
      .String("Notes", *check.mutable_notes())
      .String("Output", *check.mutable_output())
      .String("ServiceID", *check.mutable_service_id())
      .String("Type", *check.mutable_type())
      .String("Interval", *check.mutable_interval())
      .String("Timeout", *check.mutable_timeout())
      .With("Definition", [&check](const json& given) {
        ASSIGN_OR_RETURN(const CheckDefinition definition, ReadDefinition(given));
        check.set_definition(DefinitionJson(definition));
        if (check.type().empty()) check.set_type(std::string(TypeOf(definition)));
        return absl::OkStatus();
      });
  for (const char* unused : {"ServiceName", "ServiceTags", "Namespace", "Partition", "PeerName",
                             "CreateIndex", "ModifyIndex", "ExposedPort"}) {
    reader.Ignore(unused);
  }
  RETURN_IF_ERROR(reader.Finish());
  if (!check_node.empty() && absl::AsciiStrToLower(check_node) != absl::AsciiStrToLower(node)) {
    return absl::InternalError(
        absl::StrFormat("check \"%s\" is of node \"%s\"; expected that of the registration, \"%s\"",
                        check.id(), check_node, node));
  }
  check.set_status(ParseStatus(status));
  if (check.id().empty()) check.set_id(check.name());
  return absl::OkStatus();
}

absl::Status CheckNode(const catalog::v1::Register& change) {
  const catalog::v1::Node& node = change.node();
  if (node.name().empty()) return absl::InternalError("Must provide node");
  if (node.address().empty() && !change.skip_node_update()) {
    return absl::InternalError("Must provide address if SkipNodeUpdate is not set");
  }
  if (!node.id().empty() && node.id().size() != kUuidOctets) {
    return absl::InternalError("Bad node ID: uuid string is wrong length");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Command> ParseCatalogRegister(const std::string& body,
                                             const std::string& datacenter) {
  ASSIGN_OR_RETURN(const json value, ParseJsonBody(body));
  Command command;
  catalog::v1::Register& change = *command.mutable_register_();
  catalog::v1::Node& node = *change.mutable_node();
  TextPairs tagged_addresses, meta;
  bool skip_node_update = false;
  const json* service = nullptr;
  std::vector<const json*> checks;
  const auto take_check = [&checks](const json& given) {
    checks.push_back(&given);
    return absl::OkStatus();
  };
  ObjectReader reader(value, "RegisterRequest");
  reader.String("ID", *node.mutable_id())
      .String("Node", *node.mutable_name())
      .String("Address", *node.mutable_address())
      .String("Datacenter", *node.mutable_datacenter())
      .Pairs("TaggedAddresses", tagged_addresses)
      .Pairs("NodeMeta", meta)
      .Bool("SkipNodeUpdate", skip_node_update)
      .With("Service",
            [&service](const json& given) {
              service = &given;
              return absl::OkStatus();
            })
      .With("Check", take_check)
      .Each("Checks", [&](const std::string&, const json& given) { return take_check(given); })
      .With("Locality", [&node](const json& locality) {
        return ReadLocality(locality, *node.mutable_locality()->mutable_region(),
                            *node.mutable_locality()->mutable_zone());
      });
  for (const char* unused :
       {"WriteRequest", "Token", "EnterpriseMeta", "Namespace", "Partition", "PeerName"}) {
    reader.Ignore(unused);
  }
  RETURN_IF_ERROR(reader.Finish());
  RETURN_IF_ERROR(CheckDatacenter(node.datacenter(), datacenter));
  change.set_skip_node_update(skip_node_update);
  AddPairs(tagged_addresses, *node.mutable_tagged_addresses());
  AddPairs(meta, *node.mutable_meta());
  RETURN_IF_ERROR(CheckNode(change));
  if (service != nullptr) RETURN_IF_ERROR(ReadService(*service, *change.add_services()));
  for (const json* check : checks) {
    RETURN_IF_ERROR(ReadCheck(*check, node.name(), *change.add_checks()));
  }
  return command;
}

absl::StatusOr<Command> ParseCatalogDeregister(const std::string& body,
                                               const std::string& datacenter) {
  ASSIGN_OR_RETURN(const json value, ParseJsonBody(body));
  Command command;
  catalog::v1::Deregister& change = *command.mutable_deregister();
  std::string given_datacenter;
  RETURN_IF_ERROR(ObjectReader(value, "DeregisterRequest")
                      .String("Node", *change.mutable_node())
                      .String("ServiceID", *change.mutable_service_id())
                      .String("CheckID", *change.mutable_check_id())
                      .String("Datacenter", given_datacenter)
                      .Ignore("Address")
                      .Ignore("WriteRequest")
                      .Ignore("Namespace")
                      .Ignore("Partition")
                      .Ignore("PeerName")
                      .Finish());
  RETURN_IF_ERROR(CheckDatacenter(given_datacenter, datacenter));
  if (change.node().empty()) return absl::InternalError("Must provide node");
  return command;
}

}  // namespace pharos::http
