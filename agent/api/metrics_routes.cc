// /v1/agent/metrics, and targets for Prometheus.

#include <algorithm>
#include <string>

#include "absl/strings/str_join.h"
#include "agent/api/agent_api.h"
#include "base/status_macros.h"
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

// Whether the instance fits `service`, `tag` and `passing`, as far as they are given.
bool IsWanted(const registry::Instance& instance, const http::Request& request) {
  const std::string_view service = request.Parameter("service").value_or("");
  const std::string_view tag = request.Parameter("tag").value_or("");
  const auto& tags = instance.service->tags;
  return (service.empty() || instance.service->name == service) &&
         (tag.empty() || std::find(tags.begin(), tags.end(), tag) != tags.end()) &&
         (!request.HasParameter("passing") || instance.health == registry::Health::kPassing);
}

void WriteTarget(const registry::Instance& instance, JsonWriter& json) {
  const std::string& address =
      instance.service->address.empty() ? instance.node->address : instance.service->address;
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
  json.Field("__meta_consul_health", http::HealthName(instance.health));
  json.Field("__meta_consul_node", instance.node->name);
  json.Field("__meta_consul_service", instance.service->name);
  json.Field("__meta_consul_service_address", instance.service->address);
  json.Field("__meta_consul_service_id", instance.service->id);
  json.Field("__meta_consul_service_port", std::to_string(instance.service->port));
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
        if (IsWanted(*instance, exchange->request())) WriteTarget(*instance, json);
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
  api.router().Add(
      http::Method::kGet, "/v1/prometheus/sd",
      [&api](const Shared& exchange, const std::string&) { AnswerTargets(api, exchange); });
}

}  // namespace pharos::agent
