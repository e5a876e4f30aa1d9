// What this agent knows of datacenters: of each, the parts of its catalog that were asked for.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "registry/freshness.h"
#include "registry/snapshot.h"

namespace pharos::registry {

// One part: how far it may be believed, and when it was last used, so that what nobody uses can be
// let go.
struct PartUse {
  std::atomic<int64_t> used_unix_s{0};
  std::atomic<Freshness> freshness{Freshness::kFresh};
};
// The parts that are told one by one, each by a text: a service, a service in the mesh, a node
// alone, a node with all that is registered on it (names in lower case), all prepared queries, or
// which services all ingress gateways let in.
inline std::string ServicePart(std::string_view lower_name) {
  return "s" + std::string(lower_name);
}
inline std::string ConnectPart(std::string_view lower_name) {
  return "m" + std::string(lower_name);
}
inline std::string NodePart(std::string_view lower_name) { return "n" + std::string(lower_name); }
inline std::string WholeNodePart(std::string_view lower_name) {
  return "w" + std::string(lower_name);
}
inline std::string QueriesPart() { return "Q"; }
inline std::string IngressPart() { return "I"; }

// By part.
using PartUses = absl::flat_hash_map<std::string, std::shared_ptr<PartUse>>;

// Published as a whole (base/published.h); made and freed on one thread. Shared are those parts of
// it that did not change from one to the next.
struct RemoteCatalogs {
  struct Datacenter {
    std::shared_ptr<const Snapshot> snapshot;  // Null until some part is there.
    std::shared_ptr<const PartUses> parts;     // Those that are in it; null as well.
    Freshness freshness = Freshness::kFresh;
  };
  // In lower case; those that are known to exist. This agent's own is among them only where it has
  // no more of that than parts.
  std::map<std::string, Datacenter, std::less<>> datacenters;
  std::vector<std::string> nearest;  // The others, the nearest first.
  bool complete = true;              // Else there may be more that were not heard of yet.

  const Datacenter* Find(std::string_view lower_name) const {
    const auto found = datacenters.find(lower_name);
    return found == datacenters.end() ? nullptr : &found->second;
  }
};

}  // namespace pharos::registry
