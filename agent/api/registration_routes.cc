// Writes at this agent: services, checks, what TTL checks are told, and maintenance.

#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "agent/api/agent_api.h"
#include "agent/local/body.h"
#include "http/errors.h"

namespace pharos::agent {
namespace {

using http::Exchange;
using Shared = std::shared_ptr<Exchange>;
// What the work on the agent's thread calls when it is done.
using Work = std::function<void(LocalAgent&, LocalAgent::Done)>;

// Runs `work` on the agent's thread and answers 200 without a body, or the error as `respond` has
// it.
using ErrorToResponse = http::Response (*)(const absl::Status&);

void Write(http::Api& api, const AgentApi& agent, const Shared& exchange, Work work,
           ErrorToResponse respond) {
  agent.local.loop().Post(
      [&local = agent.local, mailbox = api.mailbox(), exchange, respond, work = std::move(work)] {
        work(local, [mailbox, exchange, respond](const absl::Status& status) {
          LoopMailbox::Post(mailbox, [exchange, respond, status] {
            exchange->Respond(status.ok() ? http::EmptyResponse(200) : respond(status));
          });
        });
      });
}

// Whatever is wrong with the agent's own state is 500 in Consul.
http::Response InternalError(const absl::Status& error) {
  const int status = absl::IsInvalidArgument(error) ? 400 : 500;
  return http::TextResponse(status, std::string(error.message()));
}

http::Response NotFoundIsFine(const absl::Status& error) {
  return absl::IsNotFound(error) ? http::EmptyResponse(200) : InternalError(error);
}

http::Response NotFoundIs404(const absl::Status& error) {
  return absl::IsNotFound(error) ? http::ErrorResponse(error) : InternalError(error);
}

void RegisterService(http::Api& api, const AgentApi& agent, const Shared& exchange) {
  const http::Request& request = exchange->request();
  absl::StatusOr<ServiceDefinition> service =
      ParseServiceBody(request.body, agent.config.enable_script_checks);
  if (!service.ok()) return exchange->Respond(http::ErrorResponse(service.status()));
  const std::optional<std::string_view> given = request.Parameter("replace-existing-checks");
  const bool replace = given && (given->empty() || *given == "true");
  Write(
      api, agent, exchange,
      [exchange, replace, service = *std::move(service)](LocalAgent& local, LocalAgent::Done done) {
        local.RegisterService(service, exchange->request().body, replace, std::move(done));
      },
      InternalError);
}

void RegisterCheck(http::Api& api, const AgentApi& agent, const Shared& exchange) {
  absl::StatusOr<CheckDefinition> check =
      ParseCheckBody(exchange->request().body, agent.config.enable_script_checks);
  if (!check.ok()) return exchange->Respond(http::ErrorResponse(check.status()));
  Write(
      api, agent, exchange,
      [exchange, check = *std::move(check)](LocalAgent& local, LocalAgent::Done done) {
        local.RegisterCheck(check, exchange->request().body, std::move(done));
      },
      InternalError);
}

void UpdateTtl(http::Api& api, const AgentApi& agent, const Shared& exchange, const std::string& id,
               registry::Health status, std::string output) {
  Write(
      api, agent, exchange,
      [id, status, output = std::move(output)](LocalAgent& local, LocalAgent::Done done) {
        // In Consul's words whether it is no TTL check or none at all.
        const LocalAgent::Done answer = [id, done = std::move(done)](const absl::Status& updated) {
          done(updated.ok() ? updated
                            : absl::InternalError(absl::StrFormat(
                                  "CheckID \"%s\" does not have associated TTL", id)));
        };
        local.UpdateTtl(id, status, output, answer);
      },
      InternalError);
}

http::Router::Handler TtlRoute(http::Api& api, const AgentApi& agent, registry::Health status) {
  return [&api, &agent, status](const Shared& exchange, const std::string& id) {
    UpdateTtl(api, agent, exchange, id, status,
              std::string(exchange->request().Parameter("note").value_or("")));
  };
}

void UpdateCheck(http::Api& api, const AgentApi& agent, const Shared& exchange,
                 const std::string& id) {
  absl::StatusOr<CheckUpdate> update = ParseCheckUpdateBody(exchange->request().body);
  if (!update.ok()) return exchange->Respond(http::ErrorResponse(update.status()));
  UpdateTtl(api, agent, exchange, id, update->status, std::move(update->output));
}

// `service_id` is empty for the node.
void SetMaintenance(http::Api& api, const AgentApi& agent, const Shared& exchange,
                    const std::string& service_id) {
  const http::Request& request = exchange->request();
  const std::string_view enable = request.Parameter("enable").value_or("");
  if (enable.empty()) return exchange->Respond(http::TextResponse(400, "Missing value for enable"));
  const std::optional<bool> enabled = http::ParseBool(enable);
  if (!enabled) {
    return exchange->Respond(
        http::TextResponse(400, absl::StrFormat("Invalid value for enable: \"%s\"", enable)));
  }
  const std::string reason(request.Parameter("reason").value_or(""));
  Write(
      api, agent, exchange,
      [service_id, enable = *enabled, reason](LocalAgent& local, LocalAgent::Done done) {
        local.SetMaintenance(service_id, enable, reason, std::move(done));
      },
      NotFoundIs404);
}

void SetServiceMaintenance(http::Api& api, const AgentApi& agent, const Shared& exchange,
                           const std::string& service_id) {
  if (service_id.empty()) return exchange->Respond(http::TextResponse(400, "Missing service ID"));
  SetMaintenance(api, agent, exchange, service_id);
}

void DeregisterService(http::Api& api, const AgentApi& agent, const Shared& exchange,
                       const std::string& id) {
  Write(
      api, agent, exchange,
      [id](LocalAgent& local, LocalAgent::Done done) {
        local.DeregisterService(id, std::move(done));
      },
      NotFoundIsFine);
}

void DeregisterCheck(http::Api& api, const AgentApi& agent, const Shared& exchange,
                     const std::string& id) {
  Write(
      api, agent, exchange,
      [id](LocalAgent& local, LocalAgent::Done done) {
        local.DeregisterCheck(id, std::move(done));
      },
      NotFoundIsFine);
}

}  // namespace

void AddRegistrationRoutes(http::Api& api, const AgentApi& agent) {
  const auto put = [&](const char* path, auto handle) {
    api.router().Add(http::Method::kPut, path,
                     [&api, &agent, handle](const Shared& exchange, const std::string& argument) {
                       handle(api, agent, exchange, argument);
                     });
  };
  put("/v1/agent/service/register", [](http::Api& a, const AgentApi& b, const Shared& exchange,
                                       const std::string&) { RegisterService(a, b, exchange); });
  put("/v1/agent/check/register", [](http::Api& a, const AgentApi& b, const Shared& exchange,
                                     const std::string&) { RegisterCheck(a, b, exchange); });
  put("/v1/agent/service/deregister/", DeregisterService);
  put("/v1/agent/check/deregister/", DeregisterCheck);
  put("/v1/agent/check/update/", UpdateCheck);
  put("/v1/agent/service/maintenance/", SetServiceMaintenance);
  put("/v1/agent/maintenance", SetMaintenance);
  api.router().Add(http::Method::kPut, "/v1/agent/check/pass/",
                   TtlRoute(api, agent, registry::Health::kPassing));
  api.router().Add(http::Method::kPut, "/v1/agent/check/warn/",
                   TtlRoute(api, agent, registry::Health::kWarning));
  api.router().Add(http::Method::kPut, "/v1/agent/check/fail/",
                   TtlRoute(api, agent, registry::Health::kCritical));
}

}  // namespace pharos::agent
