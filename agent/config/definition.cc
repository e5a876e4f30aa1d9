#include "agent/config/definition.h"

#include <algorithm>
#include <limits>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "agent/config/field_reader.h"

namespace pharos::agent {
namespace {

constexpr size_t kMetaPairsMax = 64;
constexpr size_t kMetaKeyOctetsMax = 128;
constexpr size_t kMetaValueOctetsMax = 512;
constexpr size_t kLabelOctetsMax = 63;  // RFC 1035 section 2.3.4
constexpr int kWeightMax = 65535;       // SRV's 16 bits (RFC 2782).
constexpr int kIntMax = std::numeric_limits<int>::max();

bool IsLabelOctet(char c) { return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-'; }

// Finds ids that were given before.
class IdsSeen {
 public:
  IdsSeen(std::string_view what, Problems& problems) : what_(what), problems_(problems) {}
  void Add(const std::string& id, const Position& at) {
    if (seen_.insert(absl::AsciiStrToLower(id)).second) return;
    problems_.Add(at, absl::StrFormat("the %s id \"%s\" is given twice; expected each once "
                                      "(set id where names are equal)",
                                      what_, id));
  }

 private:
  std::string_view what_;
  Problems& problems_;
  absl::flat_hash_set<std::string> seen_;
};

void ReadCheckFields(FieldReader& fields, CheckDefinition& check) {
  fields.Text("id", check.id);
  fields.Text("check_id", check.id);
  fields.Text("name", check.name);
  fields.Text("notes", check.notes);
  fields.Text("service_id", check.service_id);
  fields.Text("status", check.status);
  fields.Text("token", check.token);
  fields.TextList("args", check.args);
  fields.TextList("script_args", check.args);
  fields.Text("http", check.http);
  fields.Text("method", check.method);
  fields.Text("body", check.body);
  fields.TextListMap("header", check.header);
  fields.Text("tcp", check.tcp);
  fields.Bool("tcp_use_tls", check.tcp_use_tls);
  fields.Text("udp", check.udp);
  fields.Text("grpc", check.grpc);
  fields.Bool("grpc_use_tls", check.grpc_use_tls);
  fields.Text("h2ping", check.h2ping);
  fields.Bool("h2ping_use_tls", check.h2ping_use_tls);
  fields.Text("os_service", check.os_service);
  fields.Text("docker_container_id", check.docker_container_id);
  fields.Text("shell", check.shell);
  fields.Text("alias_node", check.alias_node);
  fields.Text("alias_service", check.alias_service);
  fields.Duration("ttl", check.ttl);
  fields.Duration("interval", check.interval);
  fields.Duration("timeout", check.timeout);
  fields.Duration("deregister_critical_service_after", check.deregister_critical_service_after);
  fields.Bool("tls_skip_verify", check.tls_skip_verify);
  fields.Bool("disable_redirects", check.disable_redirects);
  fields.Text("tls_server_name", check.tls_server_name);
  fields.Int("success_before_passing", check.success_before_passing, 0, kIntMax);
  fields.Int("failures_before_warning", check.failures_before_warning, 0, kIntMax);
  fields.Int("failures_before_critical", check.failures_before_critical, 0, kIntMax);
  fields.Int("output_max_size", check.output_octets_max, 0, kIntMax);
  fields.ReportUnknown();
}

// Why a check of a file is refused; empty if it is not.
std::string_view WhyNotInAFile(const CheckDefinition& check, bool scripts_enabled) {
  if (!check.args.empty() && !scripts_enabled) {
    return "Scripts are disabled on this agent; to enable, configure 'enable_script_checks' or "
           "'enable_local_script_checks' to true";
  }
  return WhyNotACheck(check);
}

// The checks of a service: `check` and then those of `checks`.
std::vector<const Value*> CheckValues(FieldReader& fields) {
  std::vector<const Value*> values;
  for (const std::string_view name : {"check", "checks"}) {
    const Value* value = fields.Any(name);
    if (value == nullptr) continue;
    if (!value->is(Value::Kind::kList)) {
      values.push_back(value);
      continue;
    }
    for (const Value& element : value->list) {
      if (!element.is(Value::Kind::kNull)) values.push_back(&element);
    }
  }
  return values;
}

void ReadServiceChecks(FieldReader& fields, bool scripts_enabled, Problems& problems,
                       ServiceDefinition& service) {
  const std::vector<const Value*> values = CheckValues(fields);
  for (size_t i = 0; i < values.size(); ++i) {
    const std::string path = absl::StrFormat("%s[%d]", fields.PathOf("checks"), i);
    FieldReader check_fields(*values[i], path, problems);
    CheckDefinition check;
    ReadCheckFields(check_fields, check);
    check.service_id = service.id;
    if (check.id.empty()) {
      check.id = absl::StrCat("service:", service.id);
      if (values.size() > 1) absl::StrAppend(&check.id, ":", i + 1);
    }
    if (check.name.empty()) check.name = absl::StrFormat("Service '%s' check", service.name);
    const std::string_view why_not = WhyNotInAFile(check, scripts_enabled);
    if (!why_not.empty()) problems.Add(values[i]->at, absl::StrFormat("%s: %s", path, why_not));
    service.checks.push_back(std::move(check));
  }
}

void ReadTaggedAddresses(FieldReader& fields, Problems& problems, ServiceDefinition& service) {
  const Value* addresses = fields.Any("tagged_addresses");
  if (addresses == nullptr) return;
  if (!addresses->is(Value::Kind::kMap)) {
    problems.Add(addresses->at,
                 absl::StrFormat("'%s' expected a map, got '%s'", fields.PathOf("tagged_addresses"),
                                 addresses->TypeWord()));
    return;
  }
  for (const Entry& entry : addresses->map) {
    FieldReader one(entry.value,
                    absl::StrFormat("%s[%s]", fields.PathOf("tagged_addresses"), entry.key),
                    problems);
    TaggedAddressDefinition tagged;
    tagged.tag = entry.key;
    one.Text("address", tagged.address);
    one.Port("port", tagged.port);
    one.ReportUnknown();
    service.tagged_addresses.push_back(std::move(tagged));
  }
}

void ReadWeights(FieldReader& fields, Problems& problems, ServiceDefinition& service) {
  const Value* weights = fields.Any("weights");
  if (weights == nullptr) return;
  FieldReader one(*weights, fields.PathOf("weights"), problems);
  one.Int("passing", service.weight_passing, 1, kWeightMax);
  one.Int("warning", service.weight_warning, 0, kWeightMax);
  one.ReportUnknown();
}

// What DNS needs of a mesh; the rest of it is a proxy's own and is not looked at.
void ReadMesh(FieldReader& fields, Problems& problems, ServiceDefinition& service) {
  if (const Value* proxy = fields.Any("proxy")) {
    FieldReader(*proxy, fields.PathOf("proxy"), problems)
        .Text("destination_service_name", service.proxy_destination);
  }
  if (const Value* connect = fields.Any("connect")) {
    FieldReader(*connect, fields.PathOf("connect"), problems)
        .Bool("native", service.connect_native);
  }
}

void ReadLocality(FieldReader& fields, Problems& problems, ServiceDefinition& service) {
  const Value* locality = fields.Any("locality");
  if (locality == nullptr) return;
  FieldReader one(*locality, fields.PathOf("locality"), problems);
  one.Text("region", service.locality.region);
  one.Text("zone", service.locality.zone);
  one.ReportUnknown();
}

// Parts of multi-tenancy: taken, and not used.
void PassUnusedParts(FieldReader& fields, DefinitionNotes& notes) {
  for (const std::string_view name : {"namespace", "partition", "ports"}) {
    if (fields.Any(name) == nullptr) continue;
    const std::string key = absl::StrCat("service.", std::string(name));
    const auto& keys = notes.no_effect_keys;
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) notes.no_effect_keys.push_back(key);
  }
}

ServiceDefinition ReadService(FieldReader& fields, bool scripts_enabled, Problems& problems,
                              DefinitionNotes& notes) {
  ServiceDefinition service;
  fields.Text("name", service.name);
  fields.Text("id", service.id);
  fields.TextList("tags", service.tags);
  fields.Text("address", service.address);
  fields.Port("port", service.port);
  fields.TextMap("meta", service.meta);
  ReadTaggedAddresses(fields, problems, service);
  fields.Bool("enable_tag_override", service.enable_tag_override);
  ReadWeights(fields, problems, service);
  fields.Text("kind", service.kind);
  fields.Text("socket_path", service.socket_path);
  fields.Text("token", service.token);
  if (service.id.empty()) service.id = service.name;
  ReadServiceChecks(fields, scripts_enabled, problems, service);
  ReadMesh(fields, problems, service);
  ReadLocality(fields, problems, service);
  PassUnusedParts(fields, notes);
  fields.ReportUnknown();
  return service;
}

void WarnOfNames(const ServiceDefinition& service, const Position& at, const SourceNames& names,
                 DefinitionNotes& notes) {
  const std::string why_name = WhyNotDnsLabel(service.name);
  if (!why_name.empty()) {
    notes.warnings.push_back(AtPosition(
        names[at.source], at, absl::StrFormat("Service name \"%s\" %s", service.name, why_name)));
  }
  for (const std::string& tag : service.tags) {
    const std::string why_tag = WhyNotDnsLabel(tag);
    if (why_tag.empty()) continue;
    notes.warnings.push_back(
        AtPosition(names[at.source], at, absl::StrFormat("Service tag \"%s\" %s", tag, why_tag)));
  }
}

}  // namespace

std::string_view WhyNotAProxy(const ServiceDefinition& service) {
  if (service.kind != "connect-proxy" || !service.proxy_destination.empty()) return {};
  return "Proxy.DestinationServiceName must be non-empty for Connect proxy services";
}

std::vector<ServiceDefinition> ReadServices(const Value* services, bool scripts_enabled,
                                            const SourceNames& names, Problems& problems,
                                            DefinitionNotes& notes) {
  std::vector<ServiceDefinition> definitions;
  if (services == nullptr) return definitions;
  IdsSeen ids("service", problems);
  for (size_t i = 0; i < services->list.size(); ++i) {
    const Value& value = services->list[i];
    FieldReader fields(value, absl::StrFormat("services[%d]", i), problems);
    ServiceDefinition service = ReadService(fields, scripts_enabled, problems, notes);
    if (service.name.empty()) {
      problems.Add(value.at, absl::StrFormat("services[%d]: Missing service name", i));
      continue;
    }
    const std::string why_not = CheckMetadata(service.meta);
    if (!why_not.empty()) {
      problems.Add(value.at, absl::StrFormat("services[%d]: Invalid Service Meta: %s", i, why_not));
    }
    if (const std::string_view why = WhyNotAProxy(service); !why.empty()) {
      problems.Add(value.at, absl::StrFormat("services[%d]: %s", i, why));
    }
    ids.Add(service.id, value.at);
    WarnOfNames(service, value.at, names, notes);
    definitions.push_back(std::move(service));
  }
  return definitions;
}

std::vector<CheckDefinition> ReadChecks(const Value* checks, bool scripts_enabled,
                                        Problems& problems) {
  std::vector<CheckDefinition> definitions;
  if (checks == nullptr) return definitions;
  IdsSeen ids("check", problems);
  for (size_t i = 0; i < checks->list.size(); ++i) {
    const Value& value = checks->list[i];
    const std::string path = absl::StrFormat("checks[%d]", i);
    FieldReader fields(value, path, problems);
    CheckDefinition check;
    ReadCheckFields(fields, check);
    if (check.name.empty()) {
      problems.Add(value.at, absl::StrFormat("%s: Missing check name", path));
      continue;
    }
    if (check.id.empty()) check.id = check.name;
    const std::string_view why_not = WhyNotInAFile(check, scripts_enabled);
    if (!why_not.empty()) problems.Add(value.at, absl::StrFormat("%s: %s", path, why_not));
    ids.Add(check.id, value.at);
    definitions.push_back(std::move(check));
  }
  return definitions;
}

std::string_view WhyNotACheck(const CheckDefinition& check) {
  const bool is_alias = !check.alias_node.empty() || !check.alias_service.empty();
  const bool is_timed = !check.args.empty() || !check.http.empty() || !check.tcp.empty() ||
                        !check.udp.empty() || !check.grpc.empty() || !check.h2ping.empty() ||
                        !check.os_service.empty() || !check.docker_container_id.empty();
  const std::string& status = check.status;
  if (!status.empty() && status != "passing" && status != "warning" && status != "critical") {
    return "Status for checks must 'passing', 'warning', 'critical'";
  }
  if (is_alias &&
      (is_timed || check.interval > absl::ZeroDuration() || check.ttl > absl::ZeroDuration())) {
    return "Invalid check: an alias check cannot have an interval, a TTL or another kind of check";
  }
  if (is_timed && check.ttl > absl::ZeroDuration()) {
    return "Invalid check: TTL cannot be combined with another kind of check";
  }
  if (is_timed && check.interval <= absl::ZeroDuration()) {
    return "Invalid check: Interval must be > 0 for Script, HTTP, or TCP checks";
  }
  if (!is_alias && !is_timed && check.ttl <= absl::ZeroDuration()) {
    return "Invalid check: TTL must be > 0 for TTL checks";
  }
  return {};
}

std::string CheckMetadata(const TextPairs& pairs) {
  if (pairs.size() > kMetaPairsMax) {
    return absl::StrFormat("Node metadata cannot contain more than %d key/value pairs",
                           kMetaPairsMax);
  }
  for (const auto& [key, value] : pairs) {
    const bool valid_key =
        std::all_of(key.begin(), key.end(), [](char c) { return IsLabelOctet(c) || c == '_'; });
    std::string why;
    if (key.empty()) {
      why = "Key cannot be blank";
    } else if (!valid_key) {
      why = "Key contains invalid characters";
    } else if (key.size() > kMetaKeyOctetsMax) {
      why = absl::StrFormat("Key is too long (limit: %d characters)", kMetaKeyOctetsMax);
    } else if (key.starts_with("consul-")) {
      why = "Key prefix 'consul-' is reserved for internal use";
    } else if (value.size() > kMetaValueOctetsMax) {
      why = absl::StrFormat("Value is too long (limit: %d characters)", kMetaValueOctetsMax);
    }
    if (!why.empty()) {
      return absl::StrFormat("Couldn't load metadata pair ('%s', '%s'): %s", key, value, why);
    }
  }
  return {};
}

std::string WhyNotDnsLabel(std::string_view name) {
  if (name.empty() || name.size() > kLabelOctetsMax) {
    return "will not be discoverable via DNS due to it being too long. Valid lengths are between 1 "
           "and 63 bytes.";
  }
  if (!std::all_of(name.begin(), name.end(), IsLabelOctet)) {
    return "will not be discoverable via DNS due to invalid characters. Valid characters include "
           "all alpha-numerics and dashes.";
  }
  return {};
}

}  // namespace pharos::agent
