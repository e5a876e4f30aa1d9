// The routes of /v1/agent, added to each HTTP thread's API; one file each group.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "agent/config/config.h"
#include "agent/dns_cache.h"
#include "agent/gossip.h"
#include "agent/local/local_agent.h"
#include "agent/user_events.h"
#include "dns/answer_config.h"
#include "http/api.h"
#include "registry/freshness.h"

namespace pharos::agent {

// What the routes are about; outlives the HTTP server.
struct AgentApi {
  LocalAgent& local;
  Config config;  // As started: what a reload may change is asked of `local`.
  std::string node_id;
  // On the thread `checks`: what was counted, for Prometheus and as JSON.
  std::function<std::string()> metrics_text;
  std::function<std::string(JsonWriter)> metrics_json;
  // Any thread: how DNS answers now; null where it is not served.
  std::function<std::shared_ptr<const dns::AnswerConfig>()> answer_config;
  // Of the catalog; null: it is always as new as it gets.
  const registry::SharedFreshness* freshness;
  // Any thread: calls `listener` with that of each interval as one line, on the thread `checks`,
  // until it returns false.
  std::function<void(std::function<bool(const std::string&)> listener)> follow_metrics;
  DnsCache& dns_cache;
  Gossip* gossip;  // Null: this agent is in no pool.
  UserEvents& events;
  // Any thread: takes on the configuration files anew, and calls back on any thread when that is
  // done or has failed.
  std::function<void(std::function<void(absl::Status)>)> reload;
  // Any thread: stops the agent in good order, after it has left its cluster.
  std::function<void()> leave;
};

// Services, checks and maintenance at this agent.
void AddLocalRoutes(http::Api& api, const AgentApi& agent);
void AddRegistrationRoutes(http::Api& api, const AgentApi& agent);
// The agent itself and its machine.
void AddAgentRoutes(http::Api& api, const AgentApi& agent);
void AddMonitorRoute(http::Api& api);
void AddDnsRoutes(http::Api& api, const AgentApi& agent);
void AddMetricsRoutes(http::Api& api, const AgentApi& agent);
void AddExplainRoute(http::Api& api, const AgentApi& agent);
// The members of the pools and their keys.
void AddGossipRoutes(http::Api& api, const AgentApi& agent);
// User events and network coordinates, which other datacenters may be asked about.
void AddEventRoutes(http::Api& api, const AgentApi& agent);

// As objects of Consul's API.
void WriteMember(const gossip::Member& member, JsonWriter& json);
void WriteCoordinate(const gossip::Coordinate& coordinate, JsonWriter& json);

// Runs `work` on the agent's thread, and answers with what it returns.
void AnswerFromLocal(http::Api& api, const AgentApi& agent,
                     const std::shared_ptr<http::Exchange>& exchange,
                     std::function<http::Response(LocalAgent&)> work);

}  // namespace pharos::agent
