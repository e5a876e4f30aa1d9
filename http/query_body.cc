#include "http/query_body.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "base/go_duration.h"
#include "base/status_macros.h"
#include "http/json_body.h"

namespace pharos::http {
namespace {

using catalog::v1::IngressGateway;
using catalog::v1::PreparedQuery;
using Json = nlohmann::json;

// What Consul's server says of a query that it refuses; the server's words come with 500.
absl::Status InvalidQuery(std::string_view why) {
  return absl::InternalError(absl::StrFormat("Invalid prepared query: %s", why));
}

template <typename List>
void AddAll(std::vector<std::string>& from, List& to) {
  for (std::string& text : from) to.Add(std::move(text));
}

void AddPairs(const TextPairs& pairs, google::protobuf::Map<std::string, std::string>& map) {
  for (const auto& [key, value] : pairs) map[key] = value;
}

absl::Status ReadTemplate(const Json& value, PreparedQuery::Template& made) {
  bool remove_empty_tags = false;
  RETURN_IF_ERROR(ObjectReader(value, "QueryTemplateOptions")
                      .String("Type", *made.mutable_type())
                      .String("Regexp", *made.mutable_regexp())
                      .Bool("RemoveEmptyTags", remove_empty_tags)
                      .Finish());
  made.set_remove_empty_tags(remove_empty_tags);
  return absl::OkStatus();
}

// Of what may be a target, datacenters are what there is here.
absl::Status ReadTarget(const Json& value, std::vector<std::string>& datacenters) {
  std::string peer, partition, datacenter;
  RETURN_IF_ERROR(ObjectReader(value, "QueryFailoverTarget")
                      .String("Peer", peer)
                      .String("Partition", partition)
                      .String("Datacenter", datacenter)
                      .Ignore("Namespace")
                      .Finish());
  if (!peer.empty() || !(partition.empty() || partition == "default") || datacenter.empty()) {
    return InvalidQuery("a failover target is a Peer or a Partition; expected a Datacenter");
  }
  datacenters.push_back(datacenter);
  return absl::OkStatus();
}

absl::Status ReadFailover(const Json& value, PreparedQuery::Failover& failover) {
  int64_t nearest = 0;
  std::vector<std::string> datacenters, targets;
  RETURN_IF_ERROR(
      ObjectReader(value, "QueryDatacenterOptions")
          .Int("NearestN", nearest)
          .Strings("Datacenters", datacenters)
          .Each("Targets", [&targets](const std::string&,
                                      const Json& target) { return ReadTarget(target, targets); })
          .Finish());
  if (!targets.empty() && (nearest != 0 || !datacenters.empty())) {
    return InvalidQuery("Targets cannot be populated with NearestN or Datacenters");
  }
  if (datacenters.empty()) datacenters = std::move(targets);
  if (nearest < 0 || nearest > std::numeric_limits<int32_t>::max()) {
    return InvalidQuery(absl::StrFormat("Bad NearestN '%d', must be >= 0", nearest));
  }
  failover.set_nearest_n(static_cast<int32_t>(nearest));
  AddAll(datacenters, *failover.mutable_datacenters());
  return absl::OkStatus();
}

absl::Status ReadSelection(const Json& value, PreparedQuery::Selection& selection) {
  bool only_passing = false, connect = false;
  std::string peer, sameness_group;
  std::vector<std::string> tags, ignored;
  TextPairs node_meta, service_meta;
  RETURN_IF_ERROR(ObjectReader(value, "ServiceQuery")
                      .String("Service", *selection.mutable_service())
                      .With("Failover",
                            [&](const Json& given) {
                              return ReadFailover(given, *selection.mutable_failover());
                            })
                      .Bool("OnlyPassing", only_passing)
                      .Strings("IgnoreCheckIDs", ignored)
                      .String("Near", *selection.mutable_near())
                      .Strings("Tags", tags)
                      .Pairs("NodeMeta", node_meta)
                      .Pairs("ServiceMeta", service_meta)
                      .Bool("Connect", connect)
                      .Ignore("Namespace")
                      .Ignore("Partition")
                      .String("Peer", peer)
                      .String("SamenessGroup", sameness_group)
                      .Finish());
  if (!peer.empty() || !sameness_group.empty()) {
    return InvalidQuery("Peer and SamenessGroup must be empty: there are no peers here");
  }
  selection.set_only_passing(only_passing);
  selection.set_connect(connect);
  AddAll(tags, *selection.mutable_tags());
  AddAll(ignored, *selection.mutable_ignore_check_ids());
  AddPairs(node_meta, *selection.mutable_node_meta());
  AddPairs(service_meta, *selection.mutable_service_meta());
  return absl::OkStatus();
}

// Consul's rules that clients know the words of; the others are the catalog's own.
absl::Status CheckQuery(const PreparedQuery& query) {
  if (query.service().service().empty()) {
    return InvalidQuery("Must provide a Service name to query");
  }
  if (!query.dns_ttl().empty()) {
    const absl::StatusOr<absl::Duration> ttl = ParseGoDuration(query.dns_ttl());
    if (!ttl.ok()) {
      return InvalidQuery(absl::StrFormat("Bad DNS TTL '%s': %s", query.dns_ttl(),
                                          std::string(ttl.status().message())));
    }
    if (*ttl < absl::ZeroDuration()) {
      return InvalidQuery(
          absl::StrFormat("DNS TTL '%d', must be >=0", absl::ToInt64Nanoseconds(*ttl)));
    }
  }
  const absl::StatusOr<std::unique_ptr<registry::PreparedQuery>> made =
      registry::MakePreparedQuery(query);
  if (made.ok()) return absl::OkStatus();
  return InvalidQuery(std::string(made.status().message()));
}

// Null for none, as Go writes a list that nobody has made.
template <typename List>
void WriteList(std::string_view key, const List& list, JsonWriter& json) {
  json.Key(key);
  if (list.empty()) return json.Null();
  json.BeginArray();
  for (const std::string& text : list) json.String(text);
  json.EndArray();
}

void WriteMap(std::string_view key, const google::protobuf::Map<std::string, std::string>& map,
              JsonWriter& json) {
  json.Key(key);
  if (map.empty()) return json.Null();
  const std::map<std::string, std::string> sorted(map.begin(), map.end());
  json.BeginObject();
  for (const auto& [name, value] : sorted) json.Field(name, value);
  json.EndObject();
}

void WriteSelection(const PreparedQuery::Selection& selection, JsonWriter& json) {
  json.BeginObject();
  json.Field("Service", selection.service());
  json.Key("Failover");
  json.BeginObject();
  json.IntField("NearestN", selection.failover().nearest_n());
  WriteList("Datacenters", selection.failover().datacenters(), json);
  json.EndObject();
  json.BoolField("OnlyPassing", selection.only_passing());
  WriteList("IgnoreCheckIDs", selection.ignore_check_ids(), json);
  json.Field("Near", selection.near());
  WriteList("Tags", selection.tags(), json);
  WriteMap("NodeMeta", selection.node_meta(), json);
  WriteMap("ServiceMeta", selection.service_meta(), json);
  json.BoolField("Connect", selection.connect());
  json.EndObject();
}

absl::Status ReadListener(const Json& value, IngressGateway::Listener& listener) {
  int64_t port = 0;
  const auto read_service = [&listener](const std::string&, const Json& given) {
    IngressGateway::Service& service = *listener.add_services();
    std::vector<std::string> hosts;
    RETURN_IF_ERROR(ObjectReader(given, "IngressService")
                        .String("Name", *service.mutable_name())
                        .Strings("Hosts", hosts)
                        .IgnoreOthers()
                        .Finish());
    AddAll(hosts, *service.mutable_hosts());
    return absl::OkStatus();
  };
  RETURN_IF_ERROR(ObjectReader(value, "IngressListener")
                      .Int("Port", port)
                      .String("Protocol", *listener.mutable_protocol())
                      .Each("Services", read_service)
                      .IgnoreOthers()
                      .Finish());
  if (port < 0 || port > std::numeric_limits<uint16_t>::max()) {
    return absl::InvalidArgumentError(
        absl::StrFormat("Listeners.Port is %d; expected a port from 0 to 65535", port));
  }
  listener.set_port(static_cast<uint32_t>(port));
  return absl::OkStatus();
}

void WriteListener(const IngressGateway::Listener& listener, JsonWriter& json) {
  json.BeginObject();
  json.IntField("Port", listener.port());
  json.Field("Protocol", listener.protocol());
  json.Key("Services");
  json.BeginArray();
  for (const auto& service : listener.services()) {
    json.BeginObject();
    json.Field("Name", service.name());
    WriteList("Hosts", service.hosts(), json);
    json.EndObject();
  }
  json.EndArray();
  json.EndObject();
}

}  // namespace

absl::StatusOr<PreparedQuery> ParseQueryBody(const std::string& body) {
  ASSIGN_OR_RETURN(const Json value, ParseJsonBody(body));
  PreparedQuery query;
  RETURN_IF_ERROR(ObjectReader(value, "PreparedQuery")
                      .String("ID", *query.mutable_id())
                      .String("Name", *query.mutable_name())
                      .String("Session", *query.mutable_session())
                      .String("Token", *query.mutable_token())
                      .With("Template",
                            [&query](const Json& given) {
                              return ReadTemplate(given, *query.mutable_template_());
                            })
                      .With("Service",
                            [&query](const Json& given) {
                              return ReadSelection(given, *query.mutable_service());
                            })
                      .With("DNS",
                            [&query](const Json& given) {
                              return ObjectReader(given, "QueryDNSOptions")
                                  .String("TTL", *query.mutable_dns_ttl())
                                  .Finish();
                            })
                      .Ignore("CreateIndex")
                      .Ignore("ModifyIndex")
                      .Finish());
  RETURN_IF_ERROR(CheckQuery(query));
  return query;
}

void WriteQuery(const PreparedQuery& query, uint64_t create_index, uint64_t modify_index,
                JsonWriter& json) {
  json.BeginObject();
  json.Field("ID", query.id());
  json.Field("Name", query.name());
  json.Field("Session", query.session());
  json.Field("Token", query.token());
  json.Key("Template");
  json.BeginObject();
  json.Field("Type", query.template_().type());
  json.Field("Regexp", query.template_().regexp());
  json.BoolField("RemoveEmptyTags", query.template_().remove_empty_tags());
  json.EndObject();
  json.Key("Service");
  WriteSelection(query.service(), json);
  json.Key("DNS");
  json.BeginObject();
  json.Field("TTL", query.dns_ttl());
  json.EndObject();
  json.UintField("CreateIndex", create_index);
  json.UintField("ModifyIndex", modify_index);
  json.EndObject();
}

absl::StatusOr<IngressGateway> ParseConfigEntryBody(const std::string& body) {
  ASSIGN_OR_RETURN(const Json value, ParseJsonBody(body));
  std::string kind;
  IngressGateway gateway;
  RETURN_IF_ERROR(ObjectReader(value, "ConfigEntry").String("Kind", kind).IgnoreOthers().Finish());
  if (kind != kIngressGatewayKind) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "Kind is \"%s\"; expected \"%s\", which is the only kind of configuration entry here",
        kind.substr(0, 64), kIngressGatewayKind));
  }
  RETURN_IF_ERROR(ObjectReader(value, "IngressGatewayConfigEntry")
                      .String("Name", *gateway.mutable_name())
                      .Each("Listeners",
                            [&gateway](const std::string&, const Json& given) {
                              return ReadListener(given, *gateway.add_listeners());
                            })
                      .IgnoreOthers()
                      .Finish());
  return gateway;
}

void WriteConfigEntry(const registry::IngressTable::Gateway& gateway, JsonWriter& json) {
  json.BeginObject();
  json.Field("Kind", kIngressGatewayKind);
  json.Field("Name", gateway.definition.name());
  json.Key("TLS");
  json.BeginObject();
  json.BoolField("Enabled", false);
  json.EndObject();
  json.Key("Listeners");
  json.BeginArray();
  for (const auto& listener : gateway.definition.listeners()) WriteListener(listener, json);
  json.EndArray();
  json.UintField("CreateIndex", gateway.create_index);
  json.UintField("ModifyIndex", gateway.modify_index);
  json.EndObject();
}

}  // namespace pharos::http
