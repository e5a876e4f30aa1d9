// Services and checks that are registered from configuration files, and the watches' neighbours: a
// `service { ... }` or `check { ... }` as plain values.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "agent/config/problems.h"
#include "agent/config/value.h"
#include "registry/types.h"

namespace pharos::agent {

using TextPairs = std::vector<std::pair<std::string, std::string>>;

struct CheckDefinition {
  std::string id;  // Never empty: the name, or for a service's check `service:ID` with `:N` for the
                   // N-th of several.
  std::string name;
  std::string notes;
  std::string service_id;  // Empty: a check of the node.
  std::string status;      // passing, warning, critical, or empty (then critical).
  std::string token;
  std::vector<std::string> args;  // A script, with its arguments.
  std::string http, method, body;
  std::vector<std::pair<std::string, std::vector<std::string>>> header;
  std::string tcp, udp, grpc, h2ping, os_service;
  bool tcp_use_tls = false, grpc_use_tls = false, h2ping_use_tls = true;
  std::string docker_container_id, shell;
  std::string alias_node, alias_service;
  absl::Duration ttl, interval, timeout;  // Zero: not given.
  absl::Duration deregister_critical_service_after;
  bool tls_skip_verify = false, disable_redirects = false;
  std::string tls_server_name;
  int success_before_passing = 0, failures_before_warning = 0, failures_before_critical = 0;
  int output_octets_max = 0;  // `output_max_size`; 0: the agent's check_output_max_size.
  friend bool operator==(const CheckDefinition&, const CheckDefinition&) = default;
};

struct TaggedAddressDefinition {
  std::string tag, address;
  int port = 0;
};

struct ServiceDefinition {
  std::string id;  // Never empty: the name unless given.
  std::string name;
  std::vector<std::string> tags;
  std::string address;
  int port = 0;  // 0 to 65535
  TextPairs meta;
  std::vector<TaggedAddressDefinition> tagged_addresses;
  bool enable_tag_override = false;
  int weight_passing = 1, weight_warning = 1;
  std::string kind, socket_path, token;
  std::string proxy_destination;  // Of kind connect-proxy: the service it stands for.
  bool connect_native = false;
  registry::Locality locality;
  std::vector<CheckDefinition> checks;
};

// What reading definitions yields besides them. Warnings carry their position.
struct DefinitionNotes {
  std::vector<std::string> warnings;
  std::vector<std::string> no_effect_keys;  // `service.namespace`: taken and not used.
};

// Read the values of `services` and `checks` of a checked tree (null: none). Field names are
// compared without regard to case and underscores (serviceid, ServiceID, service_id), as Consul
// takes them all. What is wrong goes to `problems`: unknown fields, wrong types, no name, ports,
// weights, metadata, a timed check without interval, a check of no kind, scripts when
// `scripts_enabled` is false, an id given twice. `names` is for warnings.
std::vector<ServiceDefinition> ReadServices(const Value* services, bool scripts_enabled,
                                            const SourceNames& names, Problems& problems,
                                            DefinitionNotes& notes);
std::vector<CheckDefinition> ReadChecks(const Value* checks, bool scripts_enabled,
                                        Problems& problems);

// Why a check cannot be run as it is defined, in Consul's words; empty if it can.
std::string_view WhyNotACheck(const CheckDefinition& check);

// Why a service of kind connect-proxy stands for none, in Consul's words; empty if it does, and for
// other kinds.
std::string_view WhyNotAProxy(const ServiceDefinition& service);

// Why a set of metadata is not one (at most 64 pairs, keys of at most 128 octets A-Za-z0-9_- that
// do not start with `consul-`, values of at most 512), in Consul's words; empty if it is.
std::string CheckMetadata(const TextPairs& pairs);

// Why DNS cannot find something of this name, in Consul's words after `Node name "x" `; empty if it
// can: letters, digits and dashes, 1 to 63 of them.
std::string WhyNotDnsLabel(std::string_view name);

}  // namespace pharos::agent
