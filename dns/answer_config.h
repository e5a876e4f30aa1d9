// What of the configuration shapes answers. Immutable: a reload makes a new one, and each DNS
// thread swaps to it between batches.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/cidr.h"
#include "base/ip_address.h"
#include "dns/cookie.h"
#include "dns/name.h"
#include "dns/suffix_map.h"
#include "registry/types.h"

namespace pharos::dns {

// Which TTL a service's answers carry: by exact name, else by the longest prefix.
class ServiceTtls {
 public:
  ServiceTtls() = default;
  // Keys as in `dns_config.service_ttl`: a service name, or a prefix and `*`. A name is looked up
  // in lower case, so a key with capitals never matches, as in Consul.
  explicit ServiceTtls(const std::vector<std::pair<std::string, uint32_t>>& ttl_s_by_key);

  uint32_t Get(std::string_view lower_name) const {
    return exact_.empty() && prefixes_.empty() ? 0 : Find(lower_name);
  }

 private:
  uint32_t Find(std::string_view lower_name) const;

  absl::flat_hash_map<std::string, uint32_t> exact_;
  std::vector<std::pair<std::string, uint32_t>> prefixes_;  // Longest first.
};

// Seconds, as in the SOA record (RFC 1035 section 3.3.13).
struct SoaTimes {
  uint32_t refresh_s = 3600;
  uint32_t retry_s = 600;
  uint32_t expire_s = 86400;
  uint32_t minimum_s = 0;  // Also the SOA's own TTL, so the negative TTL (RFC 2308 section 5).
};

// A domain we serve, with the names in it that answers are built from. All in lower case.
struct Zone {
  // InvalidArgument when the names would not fit: the domain is too long.
  static absl::StatusOr<Zone> Make(std::string_view domain, std::string_view datacenter);

  Name name;
  Name node_suffix;  // node.<dc>.<zone>
  Name addr_suffix;  // addr.<dc>.<zone>
  Name mname;        // ns.<zone>
  Name rname;        // hostmaster.<zone>
};

// Whether instances that are near are shown first.
enum class LocalityPreference : uint8_t { kOff, kPrefer };

// How long a round trip from one node to another takes; InfiniteDuration where that is not known.
using RoundTrips = std::function<absl::Duration(const registry::Node& to)>;

struct AnswerConfig {
  std::vector<Zone> zones;  // The domain, then the alternative one if there is one.
  std::string datacenter;   // Lower case.
  std::string node_name;    // This agent's node, lower case.
  // Where this agent is, and what that means for the order of instances.
  std::string region, zone_in_region;
  LocalityPreference locality = LocalityPreference::kOff;
  // Those of a node, by its name in lower case, as they are now; null: nobody measures them. Any
  // thread may call it.
  std::function<RoundTrips(const std::string& from)> round_trips;
  // When fewer than so many of a hundred instances are healthy, all count as healthy; 0: never.
  uint32_t panic_percent = 0;
  uint32_t node_ttl_s = 0;
  ServiceTtls service_ttls;
  SoaTimes soa;
  // The standards also where Consul's clients may depend on Consul doing otherwise
  // (docs/configuration.md).
  bool standard = false;
  bool only_passing = false;
  bool any_datacenter = false;   // The datacenter `any` is the nearest that has healthy instances.
  bool enable_truncate = false;  // TC when instances were left out; always where `standard` is.
  bool compression = true;
  bool node_meta_txt = true;      // Node metadata as TXT in the additional section.
  uint32_t udp_answer_limit = 3;  // Of answers over UDP without EDNS; 0: none of its own.
  uint32_t a_record_limit = 0;    // Of addresses in any answer; 0: none.
  CookieSettings cookies;
  std::string nsid;  // Who we say we are (RFC 5001), at most kNsidOctetsMax; empty: nothing.
  bool recursion_available = false;  // There is anybody to forward to.
  // Names that are not ours are forwarded only from here: there are no recursors for the others.
  bool only_forward_zones = false;
  SuffixMap<std::monostate> forward_zones;
  // Whose questions about names that are not ours are answered; nullopt: everybody's.
  std::optional<std::vector<Cidr>> may_recurse;
  // Whether upstreams may not say that outside names have addresses inside, but for these domains
  // and forward_zones.
  bool rebind_protection = false;
  SuffixMap<std::monostate> rebind_allow;

  // Whether there is anybody to ask about a name that is not ours.
  bool CanForward(const Name& name) const {
    return recursion_available && (!only_forward_zones || forward_zones.Find(name) != nullptr);
  }
  bool MayRecurse(const IpAddress& client) const {
    return !may_recurse || std::ranges::any_of(*may_recurse, [&client](const Cidr& network) {
      return network.Contains(client);
    });
  }
};

}  // namespace pharos::dns
