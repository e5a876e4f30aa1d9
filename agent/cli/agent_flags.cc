#include "agent/cli/agent_flags.h"

#include <charconv>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "base/status_macros.h"

namespace pharos::agent {
namespace {

// How a flag's text becomes a value of its key.
enum class Kind : uint8_t {
  kText,
  kInt,
  kBool,
  kList,    // One more element.
  kPair,    // `key:value`, one more entry of a map.
  kSource,  // Sets no key: says what to load.
};
using enum Kind;

struct AgentFlag {
  Flag flag;
  std::string_view path;
  Kind kind;
};

constexpr AgentFlag kAgentFlags[] = {
    {{"advertise", "address", "Address that other agents of the datacenter reach this one at."},
     "advertise_addr",
     kText},
    {{"advertise-wan", "address", "Address that servers of other datacenters reach this one at."},
     "advertise_addr_wan",
     kText},
    {{"allow-write-http-from", "cidr",
      "Only clients of this network may write over HTTP. Repeatable."},
     "http_config.allow_write_http_from",
     kList},
    {{"alt-domain", "name", "A second domain that DNS queries are answered under."},
     "alt_domain",
     kText},
    {{"auto-reload-config", "", "Reload when a configuration file changes."},
     "auto_reload_config",
     kBool},
    {{"bind", "address", "Address for the traffic between agents."}, "bind_addr", kText},
    {{"bootstrap", "", "This server elects itself; for one server of a datacenter."},
     "bootstrap",
     kBool},
    {{"bootstrap-expect", "count", "How many servers to wait for before the first election."},
     "bootstrap_expect",
     kInt},
    {{"check_output_max_size", "octets", "The most of a check's output that is kept."},
     "check_output_max_size",
     kInt},
    {{"client", "addresses", "Addresses of the DNS and HTTP listeners."}, "client_addr", kText},
    {{"config-dir", "path", "A directory whose .hcl and .json files are read by name. Repeatable."},
     "",
     kSource},
    {{"config-file", "path", "A configuration file in HCL or JSON. Repeatable; later ones win."},
     "",
     kSource},
    {{"config-format", "hcl or json", "Format of all files, whatever their endings."}, "", kSource},
    {{"data-dir", "path", "Where the agent keeps its state."}, "data_dir", kText},
    {{"datacenter", "name", "Name of this agent's datacenter."}, "datacenter", kText},
    {{"default-query-time", "duration", "How long a blocking query waits unless it says so."},
     "default_query_time",
     kText},
    {{"dev", "", "For trying things out: one server, in memory only."}, "", kSource},
    {{"disable-host-node-id", "", "Make a random node id rather than one of the host's."},
     "disable_host_node_id",
     kBool},
    {{"disable-keyring-file", "", "Do not keep the gossip keys in the data directory."},
     "disable_keyring_file",
     kBool},
    {{"dns-port", "port", "Port of the DNS listener."}, "ports.dns", kInt},
    {{"domain", "name", "The domain that DNS queries are answered under."}, "domain", kText},
    {{"enable-local-script-checks", "", "Run script checks of configuration files."},
     "enable_local_script_checks",
     kBool},
    {{"enable-script-checks", "", "Run script checks, also those registered over HTTP."},
     "enable_script_checks",
     kBool},
    {{"encrypt", "key", "Key of the gossip encryption, as keygen prints it."}, "encrypt", kText},
    {{"grpc-port", "port", "Port of the gRPC listener."}, "ports.grpc", kInt},
    {{"grpc-tls-port", "port", "Port of the gRPC listener with TLS."}, "ports.grpc_tls", kInt},
    {{"hcl", "text", "Configuration in HCL, read after all files. Repeatable."}, "", kSource},
    {{"http-port", "port", "Port of the HTTP listener."}, "ports.http", kInt},
    {{"https-port", "port", "Port of the HTTPS listener."}, "ports.https", kInt},
    {{"join", "address", "An agent to join at the start. Repeatable."}, "start_join", kList},
    {{"join-wan", "address", "A server of another datacenter to join at the start. Repeatable."},
     "start_join_wan",
     kList},
    {{"log-file", "path", "Write the log there rather than to standard output."},
     "log_file",
     kText},
    {{"log-json", "", "Write the log as JSON."}, "log_json", kBool},
    {{"log-level", "level", "TRACE, DEBUG, INFO, WARN or ERR."}, "log_level", kText},
    {{"log-rotate-bytes", "octets", "Size at which a new log file is begun."},
     "log_rotate_bytes",
     kInt},
    {{"log-rotate-duration", "duration", "Age at which a new log file is begun."},
     "log_rotate_duration",
     kText},
    {{"log-rotate-max-files", "count", "How many old log files are kept."},
     "log_rotate_max_files",
     kInt},
    {{"max-query-time", "duration", "The longest a blocking query may wait."},
     "max_query_time",
     kText},
    {{"node", "name", "Name of this node; the host's name unless given."}, "node_name", kText},
    {{"node-id", "uuid", "Id of this node."}, "node_id", kText},
    {{"node-meta", "key:value", "A pair of node metadata. Repeatable."}, "node_meta", kPair},
    {{"non-voting-server", "", "Accepted and ignored."}, "non_voting_server", kBool},
    {{"pid-file", "path", "File that holds the process id while the agent runs."},
     "pid_file",
     kText},
    {{"primary-gateway", "address", "Accepted and ignored. Repeatable."},
     "primary_gateways",
     kList},
    {{"protocol", "version", "Version of the gossip protocol."}, "protocol", kInt},
    {{"raft-protocol", "version", "Version of the consensus protocol."}, "raft_protocol", kInt},
    {{"recursor", "address", "A DNS server for names outside the domain. Repeatable."},
     "recursors",
     kList},
    {{"rejoin", "", "Join again at the start although the agent had left."},
     "rejoin_after_leave",
     kBool},
    {{"retry-interval", "duration", "Time between attempts to join."}, "retry_interval", kText},
    {{"retry-interval-wan", "duration", "Time between attempts to join other datacenters."},
     "retry_interval_wan",
     kText},
    {{"retry-join", "address", "An agent to join, tried until it works. Repeatable."},
     "retry_join",
     kList},
    {{"retry-join-wan", "address",
      "A server of another datacenter to join, tried until it works. Repeatable."},
     "retry_join_wan",
     kList},
    {{"retry-max", "count", "Attempts to join; 0 for no end."}, "retry_max", kInt},
    {{"retry-max-wan", "count", "Attempts to join other datacenters; 0 for no end."},
     "retry_max_wan",
     kInt},
    {{"segment", "name", "Accepted and ignored."}, "segment", kText},
    {{"serf-lan-allowed-cidrs", "cidr", "Networks whose agents may join. Repeatable."},
     "serf_lan_allowed_cidrs",
     kList},
    {{"serf-lan-bind", "address", "Address for gossip within the datacenter."}, "serf_lan", kText},
    {{"serf-lan-port", "port", "Port for gossip within the datacenter."}, "ports.serf_lan", kInt},
    {{"serf-wan-allowed-cidrs", "cidr",
      "Networks whose servers may join from other datacenters. Repeatable."},
     "serf_wan_allowed_cidrs",
     kList},
    {{"serf-wan-bind", "address", "Address for gossip between datacenters."}, "serf_wan", kText},
    {{"serf-wan-port", "port", "Port for gossip between datacenters."}, "ports.serf_wan", kInt},
    {{"server", "", "Be a server: hold the catalog and take part in elections."}, "server", kBool},
    {{"server-port", "port", "Port for the traffic between servers."}, "ports.server", kInt},
    {{"syslog", "", "Write the log to syslog too."}, "enable_syslog", kBool},
    {{"ui", "", "Serve the web interface."}, "ui", kBool},
    {{"ui-content-path", "path", "Where the web interface is found; /ui/ unless given."},
     "ui_content_path",
     kText},
    {{"ui-dir", "path", "Serve the web interface from this directory."}, "ui_dir", kText},
};

const AgentFlag* FindAgentFlag(std::string_view name) {
  for (const AgentFlag& row : kAgentFlags) {
    if (row.flag.name == name) return &row;
  }
  return nullptr;
}

void AddSource(std::string_view name, const std::string& value, ConfigRequest& request) {
  if (name == "config-dir" || name == "config-file") request.paths.push_back(value);
  if (name == "config-format") request.format = value;
  if (name == "hcl") request.hcl.push_back(value);
  if (name == "dev") request.dev_mode = value == "true";
}

absl::StatusOr<Value> MakeValue(const AgentFlag& row, const std::string& text) {
  switch (row.kind) {
    case kInt: {
      int64_t number = 0;
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
      if (error != std::errc() || end != text.data() + text.size()) {
        return absl::InvalidArgumentError(
            absl::StrFormat("invalid value \"%s\" for flag -%s: parse error", text, row.flag.name));
      }
      return Value::Int({}, number);
    }
    case kBool:
      return Value::Bool({}, text == "true");
    case kList: {
      Value list = Value::List({});
      list.list.push_back(Value::Text({}, text));
      return list;
    }
    case kPair: {
      const size_t colon = text.find(':');
      Value map = Value::Map({});
      const std::string value = colon == std::string::npos ? "" : text.substr(colon + 1);
      map.map.push_back({text.substr(0, colon), {}, Value::Text({}, value)});
      return map;
    }
    case kText:
    case kSource:
      break;
  }
  return Value::Text({}, text);
}

}  // namespace

std::span<const Flag> AgentFlags() {
  static const std::vector<Flag> kFlags = [] {
    std::vector<Flag> flags;
    for (const AgentFlag& row : kAgentFlags) flags.push_back(row.flag);
    return flags;
  }();
  return kFlags;
}

absl::StatusOr<ConfigRequest> MakeConfigRequest(const ParsedFlags& parsed) {
  if (!parsed.arguments.empty()) {
    return absl::InvalidArgumentError(
        absl::StrFormat("\"%s\" is no option; expected options only", parsed.arguments[0]));
  }
  ConfigRequest request;
  for (const auto& [name, text] : parsed.values) {
    const AgentFlag* row = FindAgentFlag(name);
    if (row == nullptr) {
      return absl::InvalidArgumentError(
          absl::StrFormat("flag provided but not defined: -%s", name));
    }
    if (row->kind == kSource) {
      AddSource(name, text, request);
      continue;
    }
    Value value;
    ASSIGN_OR_RETURN(value, MakeValue(*row, text));
    request.flags.push_back(
        {absl::StrFormat("-%s", name), std::string(row->path), std::move(value)});
  }
  return request;
}

}  // namespace pharos::agent
