// /v1/status: who leads.

#include "http/api.h"
#include "http/shapes.h"

namespace pharos::http {

void AddStatusRoutes(Api& api) {
  const auto add = [&api](const std::string& path, auto write) {
    api.router().Add(Method::kGet, path,
                     [&api, write](const std::shared_ptr<Exchange>& exchange, const std::string&) {
                       JsonWriter json = api.MakeJson(exchange->request());
                       write(api.context().server_address, json);
                       exchange->Respond(JsonResponse(json.Take()));
                     });
  };
  add("/v1/status/leader",
      [](const std::string& leader, JsonWriter& json) { json.String(leader); });
  add("/v1/status/peers", [](const std::string& leader, JsonWriter& json) {
    json.BeginArray();
    if (!leader.empty()) json.String(leader);
    json.EndArray();
  });
}

}  // namespace pharos::http
