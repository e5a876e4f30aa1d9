// /v1/config: the configuration entries that DNS needs, which are ingress gateways.

#include <string>

#include "absl/strings/str_format.h"
#include "http/api.h"
#include "http/errors.h"
#include "http/query_body.h"
#include "registry/records.h"

namespace pharos::http {
namespace {

using registry::Snapshot;

void Put(Api& api, const std::shared_ptr<Exchange>& exchange) {
  absl::StatusOr<catalog::v1::IngressGateway> gateway =
      ParseConfigEntryBody(exchange->request().body);
  if (!gateway.ok()) return exchange->Respond(ErrorResponse(gateway.status()));
  catalog::v1::Command command;
  *command.mutable_set_ingress_gateway() = *std::move(gateway);
  api.Propose(exchange, std::move(command), JsonResponse("true"));
}

// `KIND` or `KIND/NAME`, of the one kind there is.
absl::StatusOr<std::string> NameOf(const std::string& argument) {
  const std::string kind(kIngressGatewayKind);
  if (argument == kind) return std::string();
  if (argument.starts_with(kind + "/")) return argument.substr(kind.size() + 1);
  return absl::NotFoundError(absl::StrFormat(
      "there are no configuration entries of \"%s\"; expected \"%s\"", argument, kind));
}

absl::StatusOr<Reading> ReadEntries(const Request&, const ReadOptions&,
                                    const std::string& argument) {
  const absl::StatusOr<std::string> name = NameOf(argument);
  if (!name.ok()) return name.status();
  return Reading{
      .topics = {IngressTopic()},
      .index = [](const Snapshot& snapshot) { return snapshot.ingress_index(); },
      .write = [name = *name](const Snapshot& snapshot, JsonWriter& json) -> absl::Status {
        const auto& gateways = snapshot.ingress().gateways;
        if (!name.empty()) {
          const auto found = gateways.find(registry::LowerCase(name));
          if (found == gateways.end()) {
            return absl::NotFoundError(absl::StrFormat("Config entry not found for \"%s\" / \"%s\"",
                                                       kIngressGatewayKind, name));
          }
          WriteConfigEntry(found->second, json);
          return absl::OkStatus();
        }
        json.BeginArray();
        for (const auto& [key, gateway] : gateways) WriteConfigEntry(gateway, json);
        json.EndArray();
        return absl::OkStatus();
      }};
}

void Delete(Api& api, const std::shared_ptr<Exchange>& exchange, const std::string& argument) {
  const absl::StatusOr<std::string> name = NameOf(argument);
  if (!name.ok()) return exchange->Respond(ErrorResponse(name.status()));
  if (name->empty()) {
    return exchange->Respond(
        ErrorResponse(absl::NotFoundError("Must provide both a kind and name to delete")));
  }
  catalog::v1::Command command;
  command.mutable_delete_ingress_gateway()->set_name(*name);
  api.Propose(exchange, std::move(command), JsonResponse("{}"));
}

}  // namespace

void AddConfigEntryRoutes(Api& api) {
  api.AddRead("/v1/config/", ReadEntries);
  api.router().Add(Method::kPut, "/v1/config",
                   [&api](const auto& exchange, const std::string&) { Put(api, exchange); });
  api.router().Add(Method::kDelete, "/v1/config/",
                   [&api](const auto& exchange, const std::string& argument) {
                     Delete(api, exchange, argument);
                   });
}

}  // namespace pharos::http
