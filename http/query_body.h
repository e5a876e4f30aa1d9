// The JSON of prepared queries and of the configuration entries that DNS needs, both ways.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "base/json_writer.h"
#include "proto/catalog.pb.h"
#include "registry/prepared_query.h"
#include "registry/snapshot.h"

namespace pharos::http {

// The query that a body defines, without an id of its own unless the body has one. Errors are
// responses' (http/errors.h), in Consul's words and with its status.
absl::StatusOr<catalog::v1::PreparedQuery> ParseQueryBody(const std::string& body);

// As /v1/query gives it.
void WriteQuery(const catalog::v1::PreparedQuery& query, uint64_t create_index,
                uint64_t modify_index, JsonWriter& json);

// A configuration entry; the only kind there is is that of ingress gateways.
absl::StatusOr<catalog::v1::IngressGateway> ParseConfigEntryBody(const std::string& body);
void WriteConfigEntry(const registry::IngressTable::Gateway& gateway, JsonWriter& json);
inline constexpr std::string_view kIngressGatewayKind = "ingress-gateway";

}  // namespace pharos::http
