// /v1/operator: how much there is, which servers there are, and how the leader looks after them.

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/go_duration.h"
#include "base/status_macros.h"
#include "http/api.h"
#include "http/errors.h"
#include "http/json_body.h"
#include "http/shapes.h"

namespace pharos::http {
namespace {

using registry::Snapshot;

constexpr std::string_view kServerService = "consul";

// Anything may change what is counted.
uint64_t UsageIndex(const Snapshot& snapshot) {
  return std::max({snapshot.nodes_index(), snapshot.services_index(), uint64_t{1}});
}

void WriteUsage(const std::string& datacenter, const Snapshot& snapshot, JsonWriter& json) {
  uint64_t instances = 0, of_servers = 0;
  snapshot.ForEachService([&](const registry::ServiceEntry& service) {
    instances += service.instances.size();
    for (const auto& instance : service.instances) {
      of_servers += instance->service->name == kServerService ? 1 : 0;
    }
  });
  json.BeginObject();
  json.Key("Usage");
  json.BeginObject();
  json.Key(datacenter);
  json.BeginObject();
  json.UintField("Nodes", snapshot.node_count());
  json.UintField("Services", snapshot.service_count());
  json.UintField("ServiceInstances", instances);
  json.RawField("ConnectServiceInstances", "{}");  // There is no mesh.
  json.UintField("BillableServiceInstances", instances - of_servers);
  json.EndObject();
  json.EndObject();
  json.UintField("Index", UsageIndex(snapshot));
  json.IntField("LastContact", 0);
  json.BoolField("KnownLeader", true);
  json.EndObject();
}

using cluster::AutopilotServer;
using cluster::ConsensusStatus;
using Shared = std::shared_ptr<Exchange>;

// A server as clients name it: by the id of its node, where that is known.
std::string IdOf(const AutopilotServer& server) {
  return server.server.node_id().empty() ? absl::StrCat(server.id) : server.server.node_id();
}

void WriteRaftConfiguration(const ConsensusStatus& status, JsonWriter& json) {
  json.BeginObject();
  json.Key("Servers");
  json.BeginArray();
  for (const AutopilotServer& server : status.autopilot.servers) {
    json.BeginObject();
    json.Field("ID", IdOf(server));
    json.Field("Node", server.server.name());
    json.Field("Address", server.server.address());
    json.BoolField("Leader", server.leader);
    json.Field("ProtocolVersion", "3");
    json.BoolField("Voter", server.role == cluster::RaftRole::kVoter);
    json.UintField("LastIndex", server.last_index);
    json.EndObject();
  }
  json.EndArray();
  json.UintField("Index", status.commit_index);
  json.EndObject();
}

std::string StableSince(const AutopilotServer& server, absl::Time now) {
  return absl::FormatTime("%Y-%m-%d%ET%H:%M:%SZ", now - server.stable_for, absl::UTCTimeZone());
}

void WriteHealth(const ConsensusStatus& status, absl::Time now, JsonWriter& json) {
  json.BeginObject();
  json.BoolField("Healthy", status.autopilot.healthy);
  json.IntField("FailureTolerance", status.autopilot.failure_tolerance);
  json.Key("Servers");
  json.BeginArray();
  for (const AutopilotServer& server : status.autopilot.servers) {
    json.BeginObject();
    json.Field("ID", IdOf(server));
    json.Field("Name", server.server.name());
    json.Field("Address", server.server.address());
    json.Field("SerfStatus",
               server.last_contact < status.autopilot_options.dead_after ? "alive" : "failed");
    json.Field("Version", server.server.version());
    json.BoolField("Leader", server.leader);
    json.Field("LastContact", server.leader ? "0s" : FormatGoDuration(server.last_contact));
    json.UintField("LastTerm", server.last_term);
    json.UintField("LastIndex", server.last_index);
    json.BoolField("Healthy", server.healthy);
    json.BoolField("Voter", server.role == cluster::RaftRole::kVoter);
    json.Field("StableSince", StableSince(server, now));
    json.EndObject();
  }
  json.EndArray();
  json.EndObject();
}

void WriteState(const ConsensusStatus& status, absl::Time now, JsonWriter& json) {
  json.BeginObject();
  json.BoolField("Healthy", status.autopilot.healthy);
  json.IntField("FailureTolerance", status.autopilot.failure_tolerance);
  json.IntField("OptimisticFailureTolerance", status.autopilot.failure_tolerance);
  json.Key("Servers");
  json.BeginObject();
  std::string leader;
  std::vector<std::string> voters;
  for (const AutopilotServer& server : status.autopilot.servers) {
    const bool voter = server.role == cluster::RaftRole::kVoter;
    if (server.leader) leader = IdOf(server);
    if (voter) voters.push_back(IdOf(server));
    json.Key(IdOf(server));
    json.BeginObject();
    json.Field("ID", IdOf(server));
    json.Field("Name", server.server.name());
    json.Field("Address", server.server.address());
    json.Field("NodeStatus",
               server.last_contact < status.autopilot_options.dead_after ? "alive" : "failed");
    json.Field("Version", server.server.version());
    json.Field("LastContact", server.leader ? "0s" : FormatGoDuration(server.last_contact));
    json.UintField("LastTerm", server.last_term);
    json.UintField("LastIndex", server.last_index);
    json.BoolField("Healthy", server.healthy);
    json.Field("StableSince", StableSince(server, now));
    json.Field("Status", server.leader ? "leader" : voter ? "voter" : "non-voter");
    json.Field("NodeType", "voter");
    json.EndObject();
  }
  json.EndObject();
  json.Field("Leader", leader);
  json.Key("Voters");
  json.BeginArray();
  for (const std::string& voter : voters) json.String(voter);
  json.EndArray();
  json.EndObject();
}

void WriteAutopilot(const ConsensusStatus& status, JsonWriter& json) {
  const cluster::AutopilotOptions& options = status.autopilot_options;
  json.BeginObject();
  json.BoolField("CleanupDeadServers", options.cleanup_dead_servers);
  json.Field("LastContactThreshold", FormatGoDuration(options.last_contact_threshold));
  json.UintField("MaxTrailingLogs", options.max_trailing_logs);
  json.UintField("MinQuorum", options.min_quorum);
  json.Field("ServerStabilizationTime", FormatGoDuration(options.server_stabilization_time));
  json.Field("RedundancyZoneTag", "");
  json.BoolField("DisableUpgradeMigration", false);
  json.Field("UpgradeVersionTag", "");
  json.UintField("CreateIndex", status.autopilot_create_index);
  json.UintField("ModifyIndex", status.autopilot_modify_index);
  json.EndObject();
}

absl::StatusOr<cluster::AutopilotOptions> ParseAutopilot(const std::string& body) {
  ASSIGN_OR_RETURN(const nlohmann::json value, ParseJsonBody(body));
  cluster::AutopilotOptions options;
  int64_t trailing = static_cast<int64_t>(options.max_trailing_logs), quorum = 0;
  ObjectReader reader(value, "AutopilotConfiguration");
  reader.Bool("CleanupDeadServers", options.cleanup_dead_servers)
      .Duration("LastContactThreshold", options.last_contact_threshold)
      .Int("MaxTrailingLogs", trailing)
      .Int("MinQuorum", quorum)
      .Duration("ServerStabilizationTime", options.server_stabilization_time);
  for (const char* unused : {"RedundancyZoneTag", "DisableUpgradeMigration", "UpgradeVersionTag",
                             "CreateIndex", "ModifyIndex"}) {
    reader.Ignore(unused);
  }
  RETURN_IF_ERROR(reader.Finish());
  if (trailing < 0 || quorum < 0) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "MaxTrailingLogs is %d and MinQuorum is %d; expected numbers from 0 up", trailing, quorum));
  }
  options.max_trailing_logs = static_cast<uint64_t>(trailing);
  options.min_quorum = static_cast<uint32_t>(quorum);
  return options;
}

// Answers `true`, or `false` where another change came before.
void PutAutopilot(Api& api, const Shared& exchange) {
  const Request& request = exchange->request();
  const absl::StatusOr<cluster::AutopilotOptions> options = ParseAutopilot(request.body);
  if (!options.ok()) return exchange->Respond(ErrorResponse(options.status()));
  std::optional<uint64_t> check;
  if (const auto cas = request.Parameter("cas"); cas && !cas->empty()) {
    uint64_t index = 0;
    if (!absl::SimpleAtoi(absl::string_view(cas->data(), cas->size()), &index)) {
      return exchange->Respond(TextResponse(
          400, absl::StrFormat("Error parsing cas value: \"%s\" is no index", std::string(*cas))));
    }
    check = index;
  }
  api.context().consensus.SetAutopilot(
      *options, check, [mailbox = api.mailbox(), exchange](const absl::Status& status) {
        LoopMailbox::Post(mailbox, [exchange, status] {
          if (!status.ok() && !absl::IsAborted(status)) {
            return exchange->Respond(ErrorResponse(status));
          }
          exchange->Respond(JsonResponse(status.ok() ? "true" : "false"));
        });
      });
}

// The member that `id` or `address` names; null when there is none.
const AutopilotServer* FindMember(const ConsensusStatus& status, const std::string& id,
                                  const std::string& address) {
  for (const AutopilotServer& server : status.autopilot.servers) {
    if (!id.empty() && (IdOf(server) == id || absl::StrCat(server.id) == id)) return &server;
    if (!address.empty() && server.server.address() == address) return &server;
  }
  return nullptr;
}

absl::Status NotFoundMember(const std::string& id, const std::string& address) {
  return absl::InternalError(
      id.empty()
          ? absl::StrFormat("address \"%s\" was not found in the Raft configuration", address)
          : absl::StrFormat("id \"%s\" was not found in the Raft configuration", id));
}

void ChangeMembership(Api& api, const Shared& exchange, peer::v1::MembershipRequest request,
                      Response done) {
  api.context().consensus.ChangeMembership(
      std::move(request),
      [mailbox = api.mailbox(), exchange, done = std::move(done)](const absl::Status& status) {
        LoopMailbox::Post(mailbox, [exchange, done, status] {
          if (status.ok()) return exchange->Respond(done);
          exchange->Respond(TextResponse(500, std::string(status.message())));
        });
      });
}

void RemovePeer(Api& api, const Shared& exchange) {
  const Request& request = exchange->request();
  const std::string id(request.Parameter("id").value_or(""));
  const std::string address(request.Parameter("address").value_or(""));
  if (id.empty() && address.empty()) {
    return exchange->Respond(
        TextResponse(400,
                     "Bad request: Must specify either ?id with the server's ID or ?address "
                     "with IP:port of peer to remove"));
  }
  if (!id.empty() && !address.empty()) {
    return exchange->Respond(
        TextResponse(400, "Bad request: Must specify only one of ?id or ?address"));
  }
  api.WithStatus([&api, exchange, id, address](const ConsensusStatus& status) {
    const AutopilotServer* member = FindMember(status, id, address);
    if (member == nullptr) return exchange->Respond(ErrorResponse(NotFoundMember(id, address)));
    peer::v1::MembershipRequest change;
    change.set_remove(member->id);
    ChangeMembership(api, exchange, std::move(change), EmptyResponse(200));
  });
}

void TransferLeader(Api& api, const Shared& exchange) {
  const std::string id(exchange->request().Parameter("id").value_or(""));
  api.WithStatus([&api, exchange, id](const ConsensusStatus& status) {
    peer::v1::MembershipRequest change;
    change.set_transfer_to(0);
    if (!id.empty()) {
      const AutopilotServer* member = FindMember(status, id, "");
      if (member == nullptr) return exchange->Respond(ErrorResponse(NotFoundMember(id, "")));
      change.set_transfer_to(member->id);
    }
    ChangeMembership(api, exchange, std::move(change), JsonResponse(R"({"Success":true})"));
  });
}

}  // namespace

void AddOperatorRoutes(Api& api) {
  Router& router = api.router();
  const auto add_status = [&](const char* path, auto write, bool unhealthy_is_429) {
    router.Add(Method::kGet, path,
               [&api, write, unhealthy_is_429](const Shared& exchange, const std::string&) {
                 api.WithStatus(
                     [&api, exchange, write, unhealthy_is_429](const ConsensusStatus& status) {
                       JsonWriter json = api.MakeJson(exchange->request());
                       write(status, json);
                       Response response = JsonResponse(json.Take());
                       if (unhealthy_is_429 && !status.autopilot.healthy) response.status = 429;
                       exchange->Respond(std::move(response));
                     },
                     cluster::CatalogAccess::View::kLeaders);
               });
  };
  add_status("/v1/operator/raft/configuration", WriteRaftConfiguration, false);
  add_status("/v1/operator/autopilot/configuration", WriteAutopilot, false);
  add_status(
      "/v1/operator/autopilot/health",
      [&api](const ConsensusStatus& status, JsonWriter& json) {
        WriteHealth(status, api.context().clock.Now(), json);
      },
      true);
  add_status(
      "/v1/operator/autopilot/state",
      [&api](const ConsensusStatus& status, JsonWriter& json) {
        WriteState(status, api.context().clock.Now(), json);
      },
      false);
  router.Add(Method::kPut, "/v1/operator/autopilot/configuration",
             [&api](const Shared& exchange, const std::string&) { PutAutopilot(api, exchange); });
  router.Add(Method::kDelete, "/v1/operator/raft/peer",
             [&api](const Shared& exchange, const std::string&) { RemovePeer(api, exchange); });
  for (const Method method : {Method::kPost, Method::kPut}) {
    router.Add(
        method, "/v1/operator/raft/transfer-leader",
        [&api](const Shared& exchange, const std::string&) { TransferLeader(api, exchange); });
  }
  api.AddRead("/v1/operator/usage", [&api](const Request&, const ReadOptions&, const std::string&) {
    return Reading{.topics = {NodesTopic(), ServicesTopic()},
                   .index = UsageIndex,
                   .write = [&api](const Snapshot& snapshot, JsonWriter& json) {
                     WriteUsage(api.context().defaults.datacenter, snapshot, json);
                     return absl::OkStatus();
                   }};
  });
}

}  // namespace pharos::http
