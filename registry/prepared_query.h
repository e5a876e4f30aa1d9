// Prepared queries: look-ups kept in the catalog under a name, with more rules than a DNS name can
// say. Shared by DNS and HTTP; pure functions of the snapshot.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/catalog.pb.h"
#include "registry/types.h"

namespace re2 {
class RE2;
}

namespace pharos::registry {

class Snapshot;
struct ServiceEntry;

// As the catalog keeps it.
struct PreparedQuery : RefCounted {
  catalog::v1::PreparedQuery definition;
  // Of a template with a regular expression. Shared, as RE2 cannot be copied and records can.
  std::shared_ptr<const re2::RE2> regexp;
  std::optional<uint32_t> dns_ttl_s;
  uint64_t create_index = 0;
  uint64_t modify_index = 0;

  bool is_template() const { return !definition.template_().type().empty(); }
};

// The record of a definition, without indexes. InvalidArgument that says which field was given
// what, and what was expected.
absl::StatusOr<std::unique_ptr<PreparedQuery>> MakePreparedQuery(
    const catalog::v1::PreparedQuery& definition);

// The query that a name or an id stands for. `rendered` holds the definition where it was made from
// a template; use definition().
struct ResolvedQuery {
  const PreparedQuery* query = nullptr;  // Lives as long as the snapshot.
  std::optional<catalog::v1::PreparedQuery> rendered;

  const catalog::v1::PreparedQuery& definition() const {
    return rendered ? *rendered : query->definition;
  }
};

// By id, else by exact name, else by the template with the longest fitting name. NotFound when
// there is none; FailedPrecondition for a template asked by its id, as there is no name to fill in.
absl::StatusOr<ResolvedQuery> ResolveQuery(const Snapshot& snapshot, std::string_view name_or_id);

// Whether every instance of the service fits but for its health, so that nothing needs choosing.
bool TakesEveryInstance(const catalog::v1::PreparedQuery::Selection& selection);
// The instances that fit, health included, by node name and service id.
std::vector<const Instance*> SelectInstances(
    const Snapshot& snapshot, const catalog::v1::PreparedQuery::Selection& selection);
// The instances it chooses from, whatever their tags, metadata and health; null when there are
// none.
const ServiceEntry* FindSelected(const Snapshot& snapshot,
                                 const catalog::v1::PreparedQuery::Selection& selection);

// The names (in lower case) of the ingress gateways that let the service in, and the instances of
// these, healthy or not.
std::vector<std::string> IngressGateways(const Snapshot& snapshot, std::string_view lower_service);
std::vector<const Instance*> IngressInstances(const Snapshot& snapshot,
                                              std::string_view lower_service);

}  // namespace pharos::registry
