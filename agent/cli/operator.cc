// `pharos operator`: the cluster's servers, for who looks after them.

#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_format.h"
#include "agent/cli/api_command.h"
#include "base/file.h"
#include "base/status_macros.h"
#include "cluster/recover.h"

namespace pharos::agent {
namespace {

using nlohmann::json;

constexpr size_t kNodeIdOctetsMax = 256;

absl::StatusOr<int> ListPeers(const ApiClient& client, const ParsedFlags&, std::ostream& out) {
  ASSIGN_OR_RETURN(const ApiReply reply, client.Get("operator/raft/configuration"));
  const json value = json::parse(reply.body, nullptr, false);
  std::vector<std::vector<std::string>> rows = {
      {"Node", "ID", "Address", "State", "Voter", "RaftProtocol", "Commit Index"}};
  for (const json& server : value.value("Servers", json::array())) {
    rows.push_back({server.value("Node", ""), server.value("ID", ""), server.value("Address", ""),
                    server.value("Leader", false) ? "leader" : "follower",
                    server.value("Voter", false) ? "true" : "false",
                    server.value("ProtocolVersion", ""),
                    absl::StrFormat("%d", server.value("LastIndex", uint64_t{0}))});
  }
  out << FormatTable(rows);
  return kExitOk;
}

absl::StatusOr<int> RemovePeer(const ApiClient& client, const ParsedFlags& parsed,
                               std::ostream& out) {
  const std::string id(parsed.Last("id")), address(parsed.Last("address"));
  if (id.empty() == address.empty()) {
    return absl::InvalidArgumentError("expected one of -id and -address");
  }
  ASSIGN_OR_RETURN(const ApiReply reply,
                   client.Ask("DELETE", "operator/raft/peer",
                              {{id.empty() ? "address" : "id", id.empty() ? address : id}}));
  if (reply.status != 200) {
    return absl::InternalError(
        absl::StrFormat("Unexpected response code: %d (%s)", reply.status, reply.body));
  }
  out << absl::StrFormat("Removed peer with %s \"%s\"\n", id.empty() ? "address" : "id",
                         id.empty() ? address : id);
  return kExitOk;
}

absl::StatusOr<int> TransferLeader(const ApiClient& client, const ParsedFlags& parsed,
                                   std::ostream& out) {
  QueryPairs query;
  if (!parsed.Last("id").empty()) query.emplace_back("id", std::string(parsed.Last("id")));
  ASSIGN_OR_RETURN(const ApiReply reply,
                   client.Ask("POST", "operator/raft/transfer-leader", query));
  if (reply.status != 200) {
    return absl::InternalError(
        absl::StrFormat("Unexpected response code: %d (%s)", reply.status, reply.body));
  }
  out << "Success\n";
  return kExitOk;
}

absl::StatusOr<int> Recover(const ApiClient&, const ParsedFlags& parsed, std::ostream& out) {
  const std::string data_dir(parsed.Last("data-dir"));
  if (data_dir.empty()) return absl::InvalidArgumentError("expected -data-dir");
  if (!parsed.Has("yes")) {
    return absl::InvalidArgumentError(
        "this makes the server of -data-dir the only one of its cluster. What only the others have "
        "is lost, and they must never start again with their data. Say -yes if that is meant");
  }
  ASSIGN_OR_RETURN(std::string node_id, ReadFile(data_dir + "/node-id", kNodeIdOctetsMax));
  while (!node_id.empty() && node_id.back() == '\n') node_id.pop_back();
  ASSIGN_OR_RETURN(const std::string done, cluster::RecoverAlone(data_dir, node_id, ""));
  out << done << ". Start it; wipe the data of the others, and let them join it\n";
  return kExitOk;
}

absl::StatusOr<int> GetConfig(const ApiClient& client, const ParsedFlags&, std::ostream& out) {
  ASSIGN_OR_RETURN(const ApiReply reply, client.Get("operator/autopilot/configuration"));
  const json value = json::parse(reply.body, nullptr, false);
  for (const char* name : {"CleanupDeadServers", "LastContactThreshold", "MaxTrailingLogs",
                           "MinQuorum", "ServerStabilizationTime", "RedundancyZoneTag",
                           "DisableUpgradeMigration", "UpgradeVersionTag"}) {
    const auto found = value.find(name);
    if (found == value.end()) continue;
    const std::string text = found->is_string() ? found->get<std::string>() : found->dump();
    out << name << " = " << (found->is_string() && text.empty() ? "\"\"" : text) << "\n";
  }
  return kExitOk;
}

absl::StatusOr<int> SetConfig(const ApiClient& client, const ParsedFlags& parsed,
                              std::ostream& out) {
  ASSIGN_OR_RETURN(const ApiReply reply, client.Get("operator/autopilot/configuration"));
  json value = json::parse(reply.body, nullptr, false);
  if (!value.is_object()) return absl::InternalError("the agent's answer is no JSON object");
  const struct {
    const char *flag, *name;
    bool text;
  } kFlags[] = {{"cleanup-dead-servers", "CleanupDeadServers", false},
                {"last-contact-threshold", "LastContactThreshold", true},
                {"max-trailing-logs", "MaxTrailingLogs", false},
                {"min-quorum", "MinQuorum", false},
                {"server-stabilization-time", "ServerStabilizationTime", true}};
  for (const auto& flag : kFlags) {
    if (parsed.Last(flag.flag).empty()) continue;
    const std::string given(parsed.Last(flag.flag));
    value[flag.name] = flag.text ? json(given) : json::parse(given, nullptr, false);
    if (value[flag.name].is_discarded()) {
      return absl::InvalidArgumentError(
          absl::StrFormat("-%s is \"%s\"; expected a number, true or false", flag.flag, given));
    }
  }
  const std::string index = absl::StrFormat("%d", value.value("ModifyIndex", uint64_t{0}));
  ASSIGN_OR_RETURN(const ApiReply put, client.Ask("PUT", "operator/autopilot/configuration",
                                                  {{"cas", index}}, value.dump()));
  if (put.status != 200) {
    return absl::InternalError(
        absl::StrFormat("Unexpected response code: %d (%s)", put.status, put.body));
  }
  if (!put.body.starts_with("true")) {
    return absl::AbortedError("somebody else changed the configuration meanwhile; try again");
  }
  out << "Configuration updated!\n";
  return kExitOk;
}

absl::StatusOr<int> ShowState(const ApiClient& client, const ParsedFlags&, std::ostream& out) {
  ASSIGN_OR_RETURN(const ApiReply reply, client.Get("operator/autopilot/state"));
  const json value = json::parse(reply.body, nullptr, false);
  out << absl::StrFormat("Healthy:           %s\nFailure Tolerance: %d\nLeader:            %s\n",
                         value.value("Healthy", false) ? "true" : "false",
                         value.value("FailureTolerance", 0), value.value("Leader", ""));
  std::vector<std::vector<std::string>> rows = {
      {"Name", "ID", "Address", "Status", "Healthy", "Last Contact", "Last Index"}};
  const json servers = value.value("Servers", json::object());
  for (const auto& [id, server] : servers.items()) {
    rows.push_back({server.value("Name", ""), id, server.value("Address", ""),
                    server.value("Status", ""), server.value("Healthy", false) ? "true" : "false",
                    server.value("LastContact", ""),
                    absl::StrFormat("%d", server.value("LastIndex", uint64_t{0}))});
  }
  out << FormatTable(rows);
  return kExitOk;
}

absl::StatusOr<int> ShowInstances(const ApiClient& client, const ParsedFlags& parsed,
                                  std::ostream& out) {
  const bool billable = parsed.Has("billable"), connect = parsed.Has("connect");
  if (billable && connect) {
    return absl::InvalidArgumentError("expected one of -billable and -connect, or neither");
  }
  ASSIGN_OR_RETURN(const ApiReply reply, client.Get("operator/usage"));
  const json value = json::parse(reply.body, nullptr, false);
  if (!value.is_object()) return absl::InternalError("the answer is no JSON object");
  uint64_t services = 0, instances = 0;
  json of_mesh = json::object();
  const json datacenters = value.value("Usage", json::object());
  for (const auto& [datacenter, usage] : datacenters.items()) {
    services += usage.value("Services", uint64_t{0});
    instances += usage.value("BillableServiceInstances", uint64_t{0});
    of_mesh = usage.value("ConnectServiceInstances", json::object());
  }
  if (!connect) {
    out << absl::StrFormat("Billable Service Instances Total: %d\n\nBillable Services\n",
                           instances);
    out << FormatTable({{"Services", "Service instances"},
                        {absl::StrFormat("%d", services), absl::StrFormat("%d", instances)}});
  }
  if (billable) return kExitOk;
  if (!connect) out << "\n";
  std::vector<std::vector<std::string>> rows = {{"Type", "Service instances"}};
  for (const char* kind : {"connect-native", "connect-proxy", "ingress-gateway", "mesh-gateway",
                           "terminating-gateway"}) {
    rows.push_back({kind, absl::StrFormat("%d", of_mesh.value(kind, uint64_t{0}))});
  }
  out << "Connect Services\n" << FormatTable(rows);
  return kExitOk;
}

int RunInstances(Arguments arguments, const Streams& streams) {
  return RunApiCommand(
      "Usage: pharos operator usage instances [options]\n\n  Counts services and their instances.",
      {{"billable", "", "All but the servers' own alone."},
       {"connect", "", "Those of a mesh alone."}},
      "Error fetching usage information", arguments, streams, ShowInstances);
}

int RunListPeers(Arguments arguments, const Streams& streams) {
  return RunApiCommand("Usage: pharos operator raft list-peers [options]\n\n  Lists the servers.",
                       {}, "Error getting peers", arguments, streams, ListPeers);
}
int RunRemovePeer(Arguments arguments, const Streams& streams) {
  return RunApiCommand(
      "Usage: pharos operator raft remove-peer [options]\n\n  Removes a server that has failed.",
      {{"id", "id", "The server's id."}, {"address", "ip:port", "Or its address."}},
      "Error removing peer", arguments, streams, RemovePeer);
}
int RunTransferLeader(Arguments arguments, const Streams& streams) {
  return RunApiCommand(
      "Usage: pharos operator raft transfer-leader [options]\n\n  Lets another "
      "server lead.",
      {{"id", "id", "The server that is to lead; any unless given."}},
      "Error transferring leadership", arguments, streams, TransferLeader);
}
int RunRecover(Arguments arguments, const Streams& streams) {
  return RunApiCommand(
      "Usage: pharos operator raft recover -data-dir DIR -yes\n\n  After a majority of the servers "
      "was lost: makes a stopped server the only one.",
      {{"data-dir", "dir", "Of the server with the newest data."},
       {"yes", "", "The others are lost for good."}},
      "Error recovering", arguments, streams, Recover);
}
int RunGetConfig(Arguments arguments, const Streams& streams) {
  return RunApiCommand(
      "Usage: pharos operator autopilot get-config [options]\n\n  Shows how the "
      "leader looks after the servers.",
      {}, "Error querying Autopilot configuration", arguments, streams, GetConfig);
}
int RunSetConfig(Arguments arguments, const Streams& streams) {
  return RunApiCommand("Usage: pharos operator autopilot set-config [options]\n\n  Changes it.",
                       {{"cleanup-dead-servers", "bool", "Remove servers that are dead."},
                        {"last-contact-threshold", "duration", "Silence of a healthy server."},
                        {"max-trailing-logs", "n", "Entries that a healthy one may be behind."},
                        {"min-quorum", "n", "Voters that are never gone below."},
                        {"server-stabilization-time", "duration", "Health before a vote."}},
                       "Error setting Autopilot configuration", arguments, streams, SetConfig);
}
int RunState(Arguments arguments, const Streams& streams) {
  return RunApiCommand(
      "Usage: pharos operator autopilot state [options]\n\n  Shows how the servers are.", {},
      "Error querying Autopilot state", arguments, streams, ShowState);
}

constexpr Command kRaftCommands[] = {
    {"list-peers", "Lists the servers", RunListPeers},
    {"recover", "Makes a server the only one after the others were lost", RunRecover},
    {"remove-peer", "Removes a server that has failed", RunRemovePeer},
    {"transfer-leader", "Lets another server lead", RunTransferLeader},
};
constexpr Command kAutopilotCommands[] = {
    {"get-config", "Shows how the leader looks after the servers", RunGetConfig},
    {"set-config", "Changes that", RunSetConfig},
    {"state", "Shows how the servers are", RunState},
};

constexpr Command kUsageCommands[] = {
    {"instances", "Counts services and their instances", RunInstances},
};

int RunUsage(Arguments arguments, const Streams& streams) {
  return RunSubcommand("operator usage", kUsageCommands, arguments, streams);
}
int RunRaft(Arguments arguments, const Streams& streams) {
  return RunSubcommand("operator raft", kRaftCommands, arguments, streams);
}
int RunAutopilot(Arguments arguments, const Streams& streams) {
  return RunSubcommand("operator autopilot", kAutopilotCommands, arguments, streams);
}

constexpr Command kCommands[] = {
    {"autopilot", "How the leader looks after the servers", RunAutopilot},
    {"raft", "Shows and changes the servers", RunRaft},
    {"usage", "Counts what the catalog has", RunUsage},
};

}  // namespace

int RunOperator(Arguments arguments, const Streams& streams) {
  return RunSubcommand("operator", kCommands, arguments, streams);
}

}  // namespace pharos::agent
