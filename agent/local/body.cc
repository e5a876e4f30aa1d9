#include "agent/local/body.h"

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/ip_address.h"
#include "base/status_macros.h"
#include "http/json_body.h"
#include "http/mesh_body.h"

namespace pharos::agent {
namespace {

using http::ObjectReader;
using nlohmann::json;

constexpr int64_t kPortMax = 65535;
constexpr int64_t kWeightMax = 65535;  // SRV's 16 bits (RFC 2782).
constexpr std::string_view kScriptsDisabled =
    "Scripts are disabled on this agent from remote calls; to enable, configure "
    "'enable_script_checks' to true";

absl::Status CheckPort(std::string_view what, int64_t port) {
  if (port >= 0 && port <= kPortMax) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrFormat("%s is %d; expected a port from 0 to 65535", what, port));
}

absl::StatusOr<int> NotNegative(std::string_view name, int64_t value) {
  if (value >= 0 && value <= std::numeric_limits<int>::max()) return static_cast<int>(value);
  return absl::InvalidArgumentError(
      absl::StrFormat("%s is %d; expected a number from 0 up", name, value));
}

absl::Status CheckRunnable(const CheckDefinition& check, bool scripts_enabled) {
  const std::string_view why_not = WhyNotACheck(check);
  if (!why_not.empty()) {
    return absl::InvalidArgumentError(absl::string_view(why_not.data(), why_not.size()));
  }
  if (!check.args.empty() && !scripts_enabled) {
    return absl::InternalError(absl::string_view(kScriptsDisabled.data(), kScriptsDisabled.size()));
  }
  return absl::OkStatus();
}

absl::StatusOr<CheckDefinition> ReadCheck(const json& value) {
  CheckDefinition check;
  int64_t success = 0, warning = 0, critical = 0, output_octets = 0;
  ObjectReader reader(value, "CheckDefinition");
  reader.String("ID", check.id)
      .String("CheckID", check.id)
      .String("Name", check.name)
      .String("Notes", check.notes)
      .String("ServiceID", check.service_id)
      .String("Status", check.status)
      .String("Token", check.token)
      .Strings("Args", check.args)
      .Strings("ScriptArgs", check.args)
      .String("HTTP", check.http)
      .String("Method", check.method)
      .String("Body", check.body)
      .PairsOfLists("Header", check.header)
      .String("TCP", check.tcp)
      .Bool("TCPUseTLS", check.tcp_use_tls)
      .String("UDP", check.udp)
      .String("GRPC", check.grpc)
      .Bool("GRPCUseTLS", check.grpc_use_tls)
      .String("H2PING", check.h2ping)
      .Bool("H2PingUseTLS", check.h2ping_use_tls)
      .String("OSService", check.os_service)
      .String("DockerContainerID", check.docker_container_id)
      .String("Shell", check.shell)
      .String("AliasNode", check.alias_node)
      .String("AliasService", check.alias_service)
      .Duration("TTL", check.ttl)
      .Duration("Interval", check.interval)
      .Duration("Timeout", check.timeout)
      .Duration("DeregisterCriticalServiceAfter", check.deregister_critical_service_after)
      .Bool("TLSSkipVerify", check.tls_skip_verify)
      .String("TLSServerName", check.tls_server_name)
      .Bool("DisableRedirects", check.disable_redirects)
      .Int("SuccessBeforePassing", success)
      .Int("FailuresBeforeWarning", warning)
      .Int("FailuresBeforeCritical", critical)
      .Int("OutputMaxSize", output_octets);
  for (const char* unused :
       {"Namespace", "Partition", "EnterpriseMeta", "ProxyGRPC", "ProxyHTTP", "ExposedPort"}) {
    reader.Ignore(unused);
  }
  RETURN_IF_ERROR(reader.Finish());
  ASSIGN_OR_RETURN(check.success_before_passing, NotNegative("SuccessBeforePassing", success));
  ASSIGN_OR_RETURN(check.failures_before_warning, NotNegative("FailuresBeforeWarning", warning));
  ASSIGN_OR_RETURN(check.failures_before_critical, NotNegative("FailuresBeforeCritical", critical));
  ASSIGN_OR_RETURN(check.output_octets_max, NotNegative("OutputMaxSize", output_octets));
  return check;
}

absl::Status ReadTaggedAddress(const std::string& tag, const json& value,
                               ServiceDefinition& service) {
  TaggedAddressDefinition tagged;
  tagged.tag = tag;
  int64_t port = 0;
  RETURN_IF_ERROR(ObjectReader(value, "ServiceAddress")
                      .String("Address", tagged.address)
                      .Int("Port", port)
                      .Finish());
  RETURN_IF_ERROR(CheckPort(absl::StrFormat("TaggedAddresses[\"%s\"].Port", tag), port));
  tagged.port = static_cast<int>(port);
  service.tagged_addresses.push_back(std::move(tagged));
  return absl::OkStatus();
}

absl::Status ReadWeights(const json& value, ServiceDefinition& service) {
  int64_t passing = 1, warning = 1;
  RETURN_IF_ERROR(
      ObjectReader(value, "Weights").Int("Passing", passing).Int("Warning", warning).Finish());
  if (passing < 1) {
    return absl::InvalidArgumentError("Invalid Weights: Passing must be greater than 0");
  }
  if (warning < 0) {
    return absl::InvalidArgumentError("Invalid Weights: Warning must be greater or equal than 0");
  }
  if (passing > kWeightMax || warning > kWeightMax) {
    return absl::InvalidArgumentError("Invalid Weights: DNS Weight must be between 0 and 65535");
  }
  service.weight_passing = static_cast<int>(passing);
  service.weight_warning = static_cast<int>(warning);
  return absl::OkStatus();
}

// Gives the checks of a service the ids and names that Consul gives them.
absl::Status FinishServiceChecks(bool scripts_enabled, ServiceDefinition& service) {
  for (size_t i = 0; i < service.checks.size(); ++i) {
    CheckDefinition& check = service.checks[i];
    check.service_id = service.id;
    if (check.id.empty()) {
      check.id = absl::StrCat("service:", service.id);
      if (service.checks.size() > 1) absl::StrAppend(&check.id, ":", i + 1);
    }
    if (check.name.empty()) check.name = absl::StrFormat("Service '%s' check", service.name);
    RETURN_IF_ERROR(CheckRunnable(check, scripts_enabled));
  }
  return absl::OkStatus();
}

absl::Status CheckService(const ServiceDefinition& service, int64_t port) {
  if (service.name.empty()) return absl::InvalidArgumentError("Missing service name");
  RETURN_IF_ERROR(CheckPort("Port", port));
  if (const std::string why_not = CheckMetadata(service.meta); !why_not.empty()) {
    return absl::InvalidArgumentError(absl::StrFormat("Invalid Service Meta: %s", why_not));
  }
  if (const std::string_view why_not = WhyNotAProxy(service); !why_not.empty()) {
    return absl::InvalidArgumentError(absl::string_view(why_not.data(), why_not.size()));
  }
  const std::optional<IpAddress> ip = IpAddress::Parse(service.address);
  if (ip && ip->IsUnspecified()) return absl::InvalidArgumentError("Invalid service address");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ServiceDefinition> ParseServiceBody(std::string_view body, bool scripts_enabled) {
  ASSIGN_OR_RETURN(const json value, http::ParseJsonBody(body));
  ServiceDefinition service;
  int64_t port = 0;
  const auto read_check = [&service](const json& given) {
    ASSIGN_OR_RETURN(CheckDefinition check, ReadCheck(given));
    service.checks.push_back(std::move(check));
    return absl::OkStatus();
  };
  ObjectReader reader(value, "ServiceDefinition");
  reader.String("ID", service.id)
      .String("Name", service.name)
      .Strings("Tags", service.tags)
      .String("Address", service.address)
      .Int("Port", port)
      .Pairs("Meta", service.meta)
      .Bool("EnableTagOverride", service.enable_tag_override)
      .String("Kind", service.kind)
      .String("SocketPath", service.socket_path)
      .String("Token", service.token)
      .Each("TaggedAddresses",
            [&](const std::string& tag, const json& given) {
              return ReadTaggedAddress(tag, given, service);
            })
      .With("Weights", [&](const json& given) { return ReadWeights(given, service); })
      .With("Proxy",
            [&service](const json& given) {
              return http::ReadProxy(given, service.proxy_destination);
            })
      .With("Connect",
            [&service](const json& given) {
              return http::ReadConnect(given, service.connect_native);
            })
      .With("Locality",
            [&service](const json& given) {
              return http::ReadLocality(given, service.locality.region, service.locality.zone);
            })
      .With("Check",
            [&read_check](const json& given) {
              const bool none = given.is_object() && given.empty();
              return none ? absl::OkStatus() : read_check(given);
            })
      .Each("Checks", [&](const std::string&, const json& given) { return read_check(given); });
  for (const char* unused : {"Namespace", "Partition", "EnterpriseMeta", "Datacenter"}) {
    reader.Ignore(unused);
  }
  RETURN_IF_ERROR(reader.Finish());
  if (service.id.empty()) service.id = service.name;
  RETURN_IF_ERROR(CheckService(service, port));
  service.port = static_cast<int>(port);
  RETURN_IF_ERROR(FinishServiceChecks(scripts_enabled, service));
  return service;
}

absl::StatusOr<CheckDefinition> ParseCheckBody(std::string_view body, bool scripts_enabled) {
  ASSIGN_OR_RETURN(const json value, http::ParseJsonBody(body));
  ASSIGN_OR_RETURN(CheckDefinition check, ReadCheck(value));
  if (check.name.empty()) return absl::InvalidArgumentError("Missing check name");
  if (check.id.empty()) check.id = check.name;
  const std::string& status = check.status;
  if (!status.empty() && status != "passing" && status != "warning" && status != "critical") {
    return absl::InvalidArgumentError("Bad check status");
  }
  RETURN_IF_ERROR(CheckRunnable(check, scripts_enabled));
  return check;
}

absl::StatusOr<CheckUpdate> ParseCheckUpdateBody(std::string_view body) {
  ASSIGN_OR_RETURN(const json value, http::ParseJsonBody(body));
  CheckUpdate update;
  std::string status;
  RETURN_IF_ERROR(ObjectReader(value, "checkUpdate")
                      .String("Status", status)
                      .String("Output", update.output)
                      .Finish());
  if (status == "passing") {
    update.status = registry::Health::kPassing;
  } else if (status == "warning") {
    update.status = registry::Health::kWarning;
  } else if (status != "critical") {
    return absl::InvalidArgumentError(absl::StrFormat("Invalid check status: '%s'", status));
  }
  return update;
}

}  // namespace pharos::agent
