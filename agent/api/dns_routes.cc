// /v1/dns/cache: what is kept of upstreams' answers.

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "agent/api/agent_api.h"
#include "agent/dns_cache.h"
#include "http/errors.h"

namespace pharos::agent {
namespace {

using Shared = std::shared_ptr<http::Exchange>;

// In both, the thread `checks` does the waiting for the DNS threads.
void AnswerStats(http::Api& api, const AgentApi& agent, const Shared& exchange) {
  AnswerFromLocal(api, agent, exchange,
                  [&agent, json = api.MakeJson(exchange->request())](LocalAgent&) {
                    return http::JsonResponse(agent.dns_cache.Stats(json));
                  });
}

void AnswerFlush(http::Api& api, const AgentApi& agent, const Shared& exchange) {
  std::optional<dns::Name> domain;
  if (const auto text = exchange->request().Parameter("name")) {
    domain = dns::Name::FromText(*text);
    if (!domain) {
      return exchange->Respond(http::ErrorResponse(absl::InvalidArgumentError(absl::StrFormat(
          "name is \"%s\"; expected a domain name such as \"www.example.com\"", *text))));
    }
  }
  AnswerFromLocal(api, agent, exchange,
                  [&agent, domain, json = api.MakeJson(exchange->request())](LocalAgent&) mutable {
                    json.BeginObject();
                    json.UintField("Flushed", agent.dns_cache.Flush(domain));
                    json.EndObject();
                    return http::JsonResponse(json.Take());
                  });
}

}  // namespace

void AddDnsRoutes(http::Api& api, const AgentApi& agent) {
  api.router().Add(http::Method::kGet, "/v1/dns/cache",
                   [&api, &agent](const Shared& exchange, const std::string&) {
                     AnswerStats(api, agent, exchange);
                   });
  api.router().Add(http::Method::kDelete, "/v1/dns/cache",
                   [&api, &agent](const Shared& exchange, const std::string&) {
                     AnswerFlush(api, agent, exchange);
                   });
}

}  // namespace pharos::agent
