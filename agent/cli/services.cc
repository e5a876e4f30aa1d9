// `pharos services`: registers and removes services at the agent.

#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "agent/cli/api_command.h"
#include "agent/config/load.h"
#include "base/json_writer.h"
#include "base/status_macros.h"

namespace pharos::agent {
namespace {

void WriteText(std::string_view name, const std::string& value, JsonWriter& json) {
  if (!value.empty()) json.Field(name, value);
}

void WriteStrings(std::string_view name, const std::vector<std::string>& values, JsonWriter& json) {
  if (values.empty()) return;
  json.Key(name);
  json.BeginArray();
  for (const std::string& value : values) json.String(value);
  json.EndArray();
}

void WriteDuration(std::string_view name, absl::Duration value, JsonWriter& json) {
  if (value != absl::ZeroDuration()) json.IntField(name, absl::ToInt64Nanoseconds(value));
}

void WriteNumber(std::string_view name, int value, JsonWriter& json) {
  if (value != 0) json.IntField(name, value);
}

void WriteFlag(std::string_view name, bool value, JsonWriter& json) {
  if (value) json.BoolField(name, true);
}

void WriteCheck(const CheckDefinition& check, JsonWriter& json) {
  json.BeginObject();
  WriteText("CheckID", check.id, json);
  WriteText("Name", check.name, json);
  WriteText("Notes", check.notes, json);
  WriteText("Status", check.status, json);
  WriteStrings("Args", check.args, json);
  WriteText("HTTP", check.http, json);
  WriteText("Method", check.method, json);
  WriteText("Body", check.body, json);
  if (!check.header.empty()) {
    json.Key("Header");
    json.BeginObject();
    for (const auto& [name, values] : check.header) WriteStrings(name, values, json);
    json.EndObject();
  }
  WriteText("TCP", check.tcp, json);
  WriteFlag("TCPUseTLS", check.tcp_use_tls, json);
  WriteText("UDP", check.udp, json);
  WriteText("GRPC", check.grpc, json);
  WriteFlag("GRPCUseTLS", check.grpc_use_tls, json);
  WriteText("H2PING", check.h2ping, json);
  json.BoolField("H2PingUseTLS", check.h2ping_use_tls);
  WriteText("OSService", check.os_service, json);
  WriteText("DockerContainerID", check.docker_container_id, json);
  WriteText("Shell", check.shell, json);
  WriteText("AliasNode", check.alias_node, json);
  WriteText("AliasService", check.alias_service, json);
  WriteDuration("TTL", check.ttl, json);
  WriteDuration("Interval", check.interval, json);
  WriteDuration("Timeout", check.timeout, json);
  WriteDuration("DeregisterCriticalServiceAfter", check.deregister_critical_service_after, json);
  WriteFlag("TLSSkipVerify", check.tls_skip_verify, json);
  WriteText("TLSServerName", check.tls_server_name, json);
  WriteFlag("DisableRedirects", check.disable_redirects, json);
  WriteNumber("SuccessBeforePassing", check.success_before_passing, json);
  WriteNumber("FailuresBeforeWarning", check.failures_before_warning, json);
  WriteNumber("FailuresBeforeCritical", check.failures_before_critical, json);
  WriteNumber("OutputMaxSize", check.output_octets_max, json);
  json.EndObject();
}

// The body of /v1/agent/service/register.
std::string BodyOf(const ServiceDefinition& service) {
  JsonWriter json;
  json.BeginObject();
  json.Field("ID", service.id);
  json.Field("Name", service.name);
  WriteStrings("Tags", service.tags, json);
  WriteText("Address", service.address, json);
  json.IntField("Port", service.port);
  json.Key("Meta");
  json.BeginObject();
  for (const auto& [key, value] : service.meta) json.Field(key, value);
  json.EndObject();
  json.Key("TaggedAddresses");
  json.BeginObject();
  for (const TaggedAddressDefinition& tagged : service.tagged_addresses) {
    json.Key(tagged.tag);
    json.BeginObject();
    json.Field("Address", tagged.address);
    json.IntField("Port", tagged.port);
    json.EndObject();
  }
  json.EndObject();
  json.Key("Weights");
  json.BeginObject();
  json.IntField("Passing", service.weight_passing);
  json.IntField("Warning", service.weight_warning);
  json.EndObject();
  json.BoolField("EnableTagOverride", service.enable_tag_override);
  WriteText("Kind", service.kind, json);
  WriteText("SocketPath", service.socket_path, json);
  WriteText("Token", service.token, json);
  if (!service.proxy_destination.empty()) {
    json.Key("Proxy");
    json.BeginObject();
    json.Field("DestinationServiceName", service.proxy_destination);
    json.EndObject();
  }
  if (service.connect_native) {
    json.Key("Connect");
    json.BeginObject();
    json.BoolField("Native", true);
    json.EndObject();
  }
  if (!service.locality.region.empty()) {
    json.Key("Locality");
    json.BeginObject();
    json.Field("Region", service.locality.region);
    json.Field("Zone", service.locality.zone);
    json.EndObject();
  }
  json.Key("Checks");
  json.BeginArray();
  for (const CheckDefinition& check : service.checks) WriteCheck(check, json);
  json.EndArray();
  json.EndObject();
  return json.Take();
}

absl::StatusOr<std::vector<ServiceDefinition>> ReadFiles(const std::vector<std::string>& files) {
  ConfigRequest request;
  request.paths = files;
  request.dev_mode = true;  // Definitions alone are no whole configuration.
  request.hcl = {"enable_script_checks = true"};
  ASSIGN_OR_RETURN(const LoadedConfig loaded, LoadConfig(request, ReadMachine()));
  return loaded.config.services;
}

absl::StatusOr<ServiceDefinition> ReadFlags(const ParsedFlags& parsed) {
  ServiceDefinition service;
  service.name = std::string(parsed.Last("name"));
  service.id = std::string(parsed.Last("id", service.name));
  service.address = std::string(parsed.Last("address"));
  service.kind = std::string(parsed.Last("kind"));
  const std::string port(parsed.Last("port", "0"));
  if (!absl::SimpleAtoi(port, &service.port)) {
    return absl::InvalidArgumentError(absl::StrFormat("-port is \"%s\"; expected a number", port));
  }
  for (const auto& [name, value] : parsed.values) {
    const size_t equals = value.find('=');
    const std::string key = value.substr(0, equals);
    const std::string rest = equals == std::string::npos ? "" : value.substr(equals + 1);
    if (name == "tag") service.tags.push_back(value);
    if (name == "meta") service.meta.emplace_back(key, rest);
    if (name != "tagged-address") continue;
    ASSIGN_OR_RETURN(const SocketAddress address,
                     ParseSocketAddress(rest, static_cast<uint16_t>(service.port)));
    service.tagged_addresses.push_back(
        {.tag = key, .address = address.ip.ToString(), .port = address.port});
  }
  return service;
}

absl::StatusOr<int> Register(const ApiClient& client, const ParsedFlags& parsed,
                             std::ostream& out) {
  std::vector<ServiceDefinition> services;
  if (parsed.arguments.empty()) {
    ASSIGN_OR_RETURN(services.emplace_back(), ReadFlags(parsed));
  } else {
    ASSIGN_OR_RETURN(services, ReadFiles(parsed.arguments));
  }
  for (const ServiceDefinition& service : services) {
    RETURN_IF_ERROR(client.Put("agent/service/register", {}, BodyOf(service)));
    out << "Registered service: " << service.name << "\n";
  }
  return kExitOk;
}

absl::StatusOr<int> Deregister(const ApiClient& client, const ParsedFlags& parsed,
                               std::ostream& out) {
  std::vector<std::string> ids;
  if (const std::string id(parsed.Last("id")); !id.empty()) ids.push_back(id);
  if (!parsed.arguments.empty()) {
    ASSIGN_OR_RETURN(const std::vector<ServiceDefinition> services, ReadFiles(parsed.arguments));
    for (const ServiceDefinition& service : services) ids.push_back(service.id);
  }
  if (ids.empty()) return absl::InvalidArgumentError("expected -id, or definition files");
  for (const std::string& id : ids) {
    RETURN_IF_ERROR(client.Put("agent/service/deregister/" + EncodePathPart(id)));
    out << "Deregistered service: " << id << "\n";
  }
  return kExitOk;
}

int RunRegister(Arguments arguments, const Streams& streams) {
  return RunApiCommand(
      "Usage: pharos services register [options] [FILE...]\n\n  Registers services at the agent: "
      "those of the definition files, or the one that the options describe.",
      {{"id", "id", "Id; the name unless given."},
       {"name", "name", "Name."},
       {"address", "address", "Address; the node's unless given."},
       {"port", "port", "Port."},
       {"tag", "tag", "A tag; may be repeated."},
       {"meta", "key=value", "Metadata; may be repeated."},
       {"kind", "kind", "Kind."},
       {"tagged-address", "name=address:port", "A tagged address; may be repeated."}},
      "Error registering service", arguments, streams, Register);
}

int RunDeregister(Arguments arguments, const Streams& streams) {
  return RunApiCommand(
      "Usage: pharos services deregister [options] [FILE...]\n\n  Removes services from the agent.",
      {{"id", "id", "Id of the service."}}, "Error deregistering service", arguments, streams,
      Deregister);
}

constexpr Command kSubcommands[] = {
    {"deregister", "Removes services from the agent", RunDeregister},
    {"register", "Registers services at the agent", RunRegister},
};

}  // namespace

int RunServices(Arguments arguments, const Streams& streams) {
  return RunSubcommand("services", kSubcommands, arguments, streams);
}

}  // namespace pharos::agent
