// /v1/status: who leads, and who votes.

#include "http/api.h"
#include "http/shapes.h"

namespace pharos::http {
namespace {

using cluster::ConsensusStatus;

void WriteLeader(const ConsensusStatus& status, JsonWriter& json) {
  json.String(status.leader.address());
}

void WritePeers(const ConsensusStatus& status, JsonWriter& json) {
  json.BeginArray();
  for (const cluster::AutopilotServer& server : status.autopilot.servers) {
    if (!server.server.address().empty()) json.String(server.server.address());
  }
  json.EndArray();
}

}  // namespace

void AddStatusRoutes(Api& api) {
  const auto add = [&api](const std::string& path, auto write) {
    api.router().Add(Method::kGet, path,
                     [&api, write](const std::shared_ptr<Exchange>& exchange, const std::string&) {
                       api.WithStatus([&api, exchange, write](const ConsensusStatus& status) {
                         JsonWriter json = api.MakeJson(exchange->request());
                         write(status, json);
                         exchange->Respond(JsonResponse(json.Take()));
                       });
                     });
  };
  add("/v1/status/leader", WriteLeader);
  add("/v1/status/peers", WritePeers);
}

}  // namespace pharos::http
