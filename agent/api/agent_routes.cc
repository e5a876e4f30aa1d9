// The agent itself and its machine.

#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "agent/api/agent_api.h"
#include "agent/version.h"
#include "base/go_duration.h"
#include "http/errors.h"

namespace pharos::agent {
namespace {

using http::Exchange;
using http::JsonResponse;
using http::Response;
using Shared = std::shared_ptr<Exchange>;
using Texts = std::map<std::string, std::string>;

std::string BoolText(bool value) { return value ? "true" : "false"; }

void WriteTexts(const Texts& texts, JsonWriter& json) {
  json.BeginObject();
  for (const auto& [key, value] : texts) json.Field(key, value);
  json.EndObject();
}

void WriteConfig(const AgentApi& agent, JsonWriter& json) {
  const Config& config = agent.config;
  json.BeginObject();
  json.Field("Datacenter", config.datacenter);
  json.Field("PrimaryDatacenter", config.primary_datacenter);
  json.Field("NodeName", config.node_name);
  json.Field("NodeID", agent.node_id);
  json.Field("Revision", "");
  json.BoolField("Server", config.server);
  json.Field("Version", kVersion);
  json.EndObject();
}

// What people look up when something does not answer where they think; secrets stay out.
void WriteDebugConfig(const AgentApi& agent, JsonWriter& json) {
  const Config& config = agent.config;
  json.BeginObject();
  json.Field("AdvertiseAddrLAN", config.advertise_addr.ToString());
  json.Field("BindAddr", config.bind_addr.ToString());
  json.BoolField("Bootstrap", config.bootstrap);
  json.Key("DNSAddrs");
  json.BeginArray();
  for (const IpAddress& ip : config.addresses.dns) {
    const SocketAddress address{.ip = ip, .port = static_cast<uint16_t>(config.ports.dns)};
    for (const char* network : {"tcp://", "udp://"}) {
      json.String(absl::StrCat(network, address.ToString()));
    }
  }
  json.EndArray();
  json.Field("DNSDomain", config.dns.domain);
  json.IntField("DNSPort", config.ports.dns);
  json.Field("DataDir", config.data_dir);
  json.Field("Datacenter", config.datacenter);
  json.BoolField("DevMode", config.dev_mode);
  json.BoolField("EnableLocalScriptChecks", config.enable_local_script_checks);
  json.BoolField("EnableRemoteScriptChecks", config.enable_script_checks);
  json.Field("EncryptKey", config.gossip.encrypt.empty() ? "" : "hidden");
  json.IntField("HTTPPort", config.ports.http);
  json.IntField("HTTPSPort", config.ports.https);
  json.Field("NodeID", agent.node_id);
  json.Field("NodeName", config.node_name);
  json.BoolField("ServerMode", config.server);
  json.IntField("ServerPort", config.ports.server);
  json.Field("Version", kVersion);
  json.EndObject();
}

Texts RaftStatistics(const cluster::ConsensusStatus& raft) {
  size_t peers = 0;
  for (const cluster::AutopilotServer& server : raft.autopilot.servers) {
    if (server.role == cluster::RaftRole::kVoter && !server.leader) ++peers;
  }
  const char* state = "Follower";
  if (raft.state == cluster::RaftState::kLeader) state = "Leader";
  if (raft.state == cluster::RaftState::kCandidate) state = "Candidate";
  return {{"applied_index", absl::StrCat(raft.applied_index)},
          {"commit_index", absl::StrCat(raft.commit_index)},
          {"last_contact", raft.is_leader ? "0" : FormatGoDuration(raft.last_contact)},
          {"last_log_index", absl::StrCat(raft.last_index)},
          {"last_snapshot_index", absl::StrCat(raft.snapshot_index)},
          {"num_peers", absl::StrCat(peers)},
          {"state", state},
          {"term", absl::StrCat(raft.term)}};
}

// Values are texts, and what `info` prints.
std::map<std::string, Texts> Statistics(const AgentApi& agent, const LocalAgent& local,
                                        const cluster::ConsensusStatus& raft) {
  const RunnerCounts counts = local.check_counts();
  size_t ttls = 0, others = 0;
  for (const auto& [id, check] : local.state().checks) ++(check.type == "ttl" ? ttls : others);
  const bool server = agent.config.server;
  std::map<std::string, Texts> all;
  all["agent"] = {
      {"check_monitors", absl::StrCat(others)},
      {"check_ttls", absl::StrCat(ttls)},
      {"checks", absl::StrCat(local.state().checks.size())},
      {"checks_running", absl::StrCat(counts.running)},
      {"last_sync_s", local.last_sync() == absl::InfinitePast()
                          ? "never"
                          : absl::StrCat(absl::ToInt64Seconds(absl::Now() - local.last_sync()))},
      {"services", absl::StrCat(local.state().services.size())}};
  all["build"] = {{"prerelease", ""}, {"revision", ""}, {"version", std::string(kVersion)}};
  all["consul"] = {{"acl", "disabled"},
                   {"bootstrap", BoolText(agent.config.bootstrap)},
                   {"known_datacenters", "1"},
                   {"leader", BoolText(server && raft.is_leader)},
                   {"leader_addr", raft.leader.address()},
                   {"server", BoolText(server)}};
  if (server) all["raft"] = RaftStatistics(raft);
  all["runtime"] = {{"arch", "amd64"},
                    {"cpu_count", absl::StrCat(std::thread::hardware_concurrency())},
                    {"os", "linux"}};
#if defined(__aarch64__)
  all["runtime"]["arch"] = "arm64";
#endif
  return all;
}

// What the thread `gossip` knows of this agent; empty without it.
struct PoolView {
  std::optional<gossip::Member> self;
  gossip::Coordinate coordinate;
  std::map<std::string, Texts> statistics;
};

Texts PoolStatistics(const gossip::Pool& pool) {
  const gossip::Serf& serf = pool.serf();
  const auto count = [&](gossip::MemberStatus status) {
    return std::count_if(serf.members().begin(), serf.members().end(),
                         [status](const auto& entry) { return entry.second.status == status; });
  };
  return {{"coordinate_resets", absl::StrCat(serf.coordinate_resets())},
          {"encrypted", BoolText(!pool.keyring().empty())},
          {"event_queue", absl::StrCat(serf.events_queued())},
          {"event_time", absl::StrCat(serf.event_clock())},
          {"failed", absl::StrCat(count(gossip::MemberStatus::kFailed))},
          {"health_score", absl::StrCat(serf.swim().health_score())},
          {"intent_queue", absl::StrCat(serf.intents_queued())},
          {"left", absl::StrCat(count(gossip::MemberStatus::kLeft))},
          {"member_time", absl::StrCat(serf.clock())},
          {"members", absl::StrCat(serf.members().size())},
          {"query_queue", absl::StrCat(serf.queries_queued())},
          {"query_time", absl::StrCat(serf.query_clock())}};
}

PoolView ViewPools(const Gossip& gossip) {
  PoolView view;
  view.self = gossip.lan()->serf().self();
  view.coordinate = gossip.lan()->serf().coordinate();
  view.statistics["serf_lan"] = PoolStatistics(*gossip.lan());
  if (gossip.wan() != nullptr) view.statistics["serf_wan"] = PoolStatistics(*gossip.wan());
  return view;
}

Response Self(const AgentApi& agent, const LocalAgent& local, const PoolView& pools,
              const cluster::ConsensusStatus& raft, JsonWriter json) {
  json.BeginObject();
  json.Key("Config");
  WriteConfig(agent, json);
  json.Key("DebugConfig");
  WriteDebugConfig(agent, json);
  json.Key("Coord");
  WriteCoordinate(pools.coordinate, json);
  json.Key("Member");
  if (pools.self) {
    WriteMember(*pools.self, json);
  } else {
    json.Null();
  }
  json.Key("Stats");
  json.BeginObject();
  std::map<std::string, Texts> statistics = Statistics(agent, local, raft);
  statistics.insert(pools.statistics.begin(), pools.statistics.end());
  for (const auto& [section, texts] : statistics) {
    json.Key(section);
    WriteTexts(texts, json);
  }
  json.EndObject();
  json.Key("Meta");
  json.BeginObject();
  const std::map<std::string, std::string> meta(local.node().meta().begin(),
                                                local.node().meta().end());
  for (const auto& [key, value] : meta) json.Field(key, value);
  json.EndObject();
  json.EndObject();
  return JsonResponse(json.Take());
}

// /proc/meminfo in octets.
std::map<std::string, uint64_t> ReadMemory() {
  std::map<std::string, uint64_t> octets;
  std::ifstream file("/proc/meminfo");
  std::string name, unit;
  uint64_t kilobytes = 0;
  while (file >> name >> kilobytes && std::getline(file, unit)) {
    octets[name.substr(0, name.find(':'))] = kilobytes * 1024;
  }
  return octets;
}

Response Host(const Config& config, JsonWriter json) {
  json.BeginObject();
  std::map<std::string, uint64_t> memory = ReadMemory();
  json.Key("Memory");
  json.BeginObject();
  json.UintField("total", memory["MemTotal"]);
  json.UintField("available", memory["MemAvailable"]);
  json.UintField("free", memory["MemFree"]);
  json.UintField("used", memory["MemTotal"] - memory["MemAvailable"]);
  json.EndObject();
  json.Key("CPU");
  json.BeginArray();
  for (unsigned i = 0; i < std::thread::hardware_concurrency(); ++i) {
    json.BeginObject();
    json.IntField("cpu", i);
    json.EndObject();
  }
  json.EndArray();
  utsname system{};
  uname(&system);
  json.Key("Host");
  json.BeginObject();
  json.Field("hostname", system.nodename);
  json.Field("os", "linux");
  json.Field("kernelVersion", system.release);
  json.Field("kernelArch", system.machine);
  json.EndObject();
  struct statvfs disk {};
  const std::string path = config.data_dir.empty() ? "/" : config.data_dir;
  json.Key("Disk");
  json.BeginObject();
  if (statvfs(path.c_str(), &disk) == 0) {
    json.Field("path", path);
    json.UintField("total", disk.f_blocks * disk.f_frsize);
    json.UintField("free", disk.f_bavail * disk.f_frsize);
  }
  json.EndObject();
  json.EndObject();
  return JsonResponse(json.Take());
}

Response Version(JsonWriter json) {
  json.BeginObject();
  json.Field("SHA", "");
  json.Field("BuildDate", "1970-01-01T00:00:01Z");
  json.Field("HumanVersion", kVersion);
  json.Field("FIPS", "");
  json.EndObject();
  return JsonResponse(json.Take());
}

void AnswerSelf(http::Api& api, const AgentApi& agent, const Shared& exchange) {
  api.WithStatus([&api, &agent, exchange](const cluster::ConsensusStatus& status) {
    const auto answer = [&api, &agent, exchange, status](const PoolView& pools) {
      AnswerFromLocal(api, agent, exchange,
                      [&agent, pools, status, json = api.MakeJson(exchange->request())](
                          LocalAgent& local) { return Self(agent, local, pools, status, json); });
    };
    if (agent.gossip == nullptr) return answer({});
    agent.gossip->lan()->loop().Post([&agent, answer, mailbox = api.mailbox()] {
      LoopMailbox::Post(mailbox, [answer, pools = ViewPools(*agent.gossip)] { answer(pools); });
    });
  });
}

void Reload(http::Api& api, const AgentApi& agent, const Shared& exchange) {
  agent.reload([mailbox = api.mailbox(), exchange](const absl::Status& status) {
    LoopMailbox::Post(mailbox, [exchange, status] {
      exchange->Respond(status.ok() ? http::EmptyResponse(200)
                                    : http::TextResponse(500, std::string(status.message())));
    });
  });
}

// Nobody is told apart by a token as long as there are no ACLs.
Response NoAcl() { return http::TextResponse(401, "ACL support disabled"); }

}  // namespace

void AddAgentRoutes(http::Api& api, const AgentApi& agent) {
  http::Router& router = api.router();
  const auto add = [&](http::Method method, const char* path, auto answer) {
    router.Add(method, path,
               [&api, &agent, answer](const Shared& exchange, const std::string& argument) {
                 exchange->Respond(answer(api, agent, *exchange, argument));
               });
  };
  router.Add(http::Method::kGet, "/v1/agent/self",
             [&api, &agent](const Shared& exchange, const std::string&) {
               AnswerSelf(api, agent, exchange);
             });
  router.Add(
      http::Method::kPut, "/v1/agent/reload",
      [&api, &agent](const Shared& exchange, const std::string&) { Reload(api, agent, exchange); });
  router.Add(http::Method::kGet, "/", [](const Shared& exchange, const std::string&) {
    exchange->Respond(http::TextResponse(200, "Pharos agent: the API is below /v1/"));
  });
  using A = http::Api&;
  using B = const AgentApi&;
  using T = const std::string&;
  add(http::Method::kGet, "/v1/agent/host", [](A a, B b, Exchange& exchange, T) {
    return Host(b.config, a.MakeJson(exchange.request()));
  });
  add(http::Method::kGet, "/v1/agent/version",
      [](A a, B, Exchange& exchange, T) { return Version(a.MakeJson(exchange.request())); });
  add(http::Method::kPut, "/v1/agent/leave", [](A, B b, Exchange&, T) {
    b.leave();
    return http::EmptyResponse(200);
  });
  add(http::Method::kPut, "/v1/agent/token/", [](A, B, Exchange&, T) { return NoAcl(); });
  for (const http::Method method :
       {http::Method::kGet, http::Method::kPut, http::Method::kPost, http::Method::kDelete}) {
    add(method, "/v1/acl/", [](A, B, Exchange&, T) { return NoAcl(); });
  }
}

}  // namespace pharos::agent
