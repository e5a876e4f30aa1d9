// /v1/agent/metrics, and targets for Prometheus.

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_join.h"
#include "agent/api/agent_api.h"
#include "agent/local/state.h"
#include "base/status_macros.h"
#include "http/catalog_read.h"
#include "http/errors.h"
#include "http/shapes.h"

namespace pharos::agent {
namespace {

using Shared = std::shared_ptr<http::Exchange>;

constexpr const char* kPrometheusType = "text/plain; version=0.0.4; charset=utf-8";

void AnswerMetrics(http::Api& api, const AgentApi& agent, const Shared& exchange) {
  const bool prometheus = exchange->request().Parameter("format") == "prometheus";
  AnswerFromLocal(api, agent, exchange,
                  [&agent, prometheus, json = api.MakeJson(exchange->request())](LocalAgent&) {
                    if (!prometheus) return http::JsonResponse(agent.metrics_json(json));
                    http::Response response = http::TextResponse(200, agent.metrics_text());
                    response.content_type = kPrometheusType;
                    return response;
                  });
}

// A line of JSON for each interval, until the client leaves.
void StreamMetrics(http::Api& api, const AgentApi& agent, const Shared& exchange) {
  http::Response head;
  head.content_type = "application/json";
  exchange->BeginStream(std::move(head));
  // Told by this thread, looked at by the agent's: nothing else depends on it.
  const auto gone = std::make_shared<std::atomic<bool>>(false);
  exchange->OnGone([gone] { *gone = true; });
  agent.follow_metrics([mailbox = api.mailbox(), exchange, gone](const std::string& line) {
    if (*gone) return false;
    // A line that the client has no room for is left out.
    LoopMailbox::Post(mailbox, [exchange, line] { (void)exchange->Write(line); });
    return true;
  });
}

// Whether the instance fits `service`, `tag` and `passing`, as far as they are given.
bool IsWanted(const registry::Instance& instance, const http::Request& request) {
  const std::string_view service = request.Parameter("service").value_or("");
  const std::string_view tag = request.Parameter("tag").value_or("");
  const auto& tags = instance.service->tags;
  return (service.empty() || instance.service->name == service) &&
         (tag.empty() || std::find(tags.begin(), tags.end(), tag) != tags.end()) &&
         (!request.HasParameter("passing") || instance.health == registry::Health::kPassing);
}

// As in the name of a label.
std::string LabelName(std::string name) {
  std::replace_if(
      name.begin(), name.end(), [](unsigned char c) { return !absl::ascii_isalnum(c); }, '_');
  return name;
}

void WriteMeta(const char* prefix, const TextPairs& pairs, JsonWriter& json) {
  for (const auto& [key, value] : pairs) json.Field(prefix + LabelName(key), value);
}

// The worst status of an instance's checks; one under maintenance is told apart.
std::string_view HealthOf(const registry::NodeEntry& node, const registry::Instance& instance) {
  for (const registry::HealthCheck* check : http::ChecksOf(node, *instance.service)) {
    if (check->id == MaintenanceCheckId("") ||
        check->id == MaintenanceCheckId(instance.service->id.str())) {
      return "maintenance";
    }
  }
  return http::HealthName(instance.health);
}

void WriteTarget(const registry::NodeEntry& node, const registry::Instance& instance,
                 JsonWriter& json) {
  const registry::CompactString& own = instance.service->address;
  const std::string address = (own.empty() ? instance.node->address : own).str();
  const bool is_v6 = address.find(':') != std::string::npos;
  const std::string tags = "," + absl::StrJoin(instance.service->tags, ",") + ",";
  json.BeginObject();
  json.Key("targets");
  json.BeginArray();
  json.String((is_v6 ? "[" + address + "]" : address) + ":" +
              std::to_string(instance.service->port));
  json.EndArray();
  json.Key("labels");
  json.BeginObject();
  // The names of Prometheus' own discovery for Consul, so that its relabelling rules fit.
  json.Field("__meta_consul_address", instance.node->address);
  json.Field("__meta_consul_dc", instance.node->datacenter);
  json.Field("__meta_consul_health", HealthOf(node, instance));
  WriteMeta("__meta_consul_metadata_", instance.node->meta, json);
  json.Field("__meta_consul_node", instance.node->name);
  json.Field("__meta_consul_service", instance.service->name);
  json.Field("__meta_consul_service_address", instance.service->address);
  json.Field("__meta_consul_service_id", instance.service->id);
  WriteMeta("__meta_consul_service_metadata_", instance.service->meta, json);
  json.Field("__meta_consul_service_port", std::to_string(instance.service->port));
  WriteMeta("__meta_consul_tagged_address_", instance.node->tagged_addresses, json);
  json.Field("__meta_consul_tags", tags);
  json.EndObject();
  json.EndObject();
}

// https://prometheus.io/docs/prometheus/latest/http_sd/
void AnswerTargets(http::Api& api, const Shared& exchange) {
  JsonWriter json = api.MakeJson(exchange->request());
  {
    const Published<registry::Snapshot>::ReadGuard snapshot(api.context().consensus.published());
    json.BeginArray();
    snapshot->ForEachService([&](const registry::ServiceEntry& service) {
      for (const auto& instance : service.instances) {
        if (!IsWanted(*instance, exchange->request())) continue;
        WriteTarget(http::EntryOf(*snapshot, *instance->node), *instance, json);
      }
    });
    json.EndArray();
  }
  exchange->Respond(http::JsonResponse(json.Take()));
}

}  // namespace

void AddMetricsRoutes(http::Api& api, const AgentApi& agent) {
  api.router().Add(http::Method::kGet, "/v1/agent/metrics",
                   [&api, &agent](const Shared& exchange, const std::string&) {
                     AnswerMetrics(api, agent, exchange);
                   });
  api.router().Add(http::Method::kGet, "/v1/agent/metrics/stream",
                   [&api, &agent](const Shared& exchange, const std::string&) {
                     StreamMetrics(api, agent, exchange);
                   });
  api.router().Add(
      http::Method::kGet, "/v1/prometheus/sd",
      [&api](const Shared& exchange, const std::string&) { AnswerTargets(api, exchange); });
}

}  // namespace pharos::agent
