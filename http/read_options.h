// The query parameters that reads have in common, as Consul's clients send them.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "http/message.h"

namespace pharos::http {

// What the agent's configuration says about reads.
struct ReadDefaults {
  std::string datacenter;
  absl::Duration wait = absl::Minutes(5);       // `default_query_time`
  absl::Duration wait_max = absl::Minutes(10);  // `max_query_time`
  bool pretty = false;                          // Indented without being asked (-dev).
  bool use_cache = true;                        // Whether `cached` is listened to.
  bool stale = false;      // Without being asked (`discovery_max_stale`): any server may answer.
  bool translate = false;  // `translate_wan_addrs`, which clients are told.
};

// Says to clients that `translate_wan_addrs` is set.
inline constexpr char kTranslateHeader[] = "X-Consul-Translate-Addresses";

enum class Consistency { kDefault, kConsistent, kStale };

// How an answer is to look.
struct ReadStyle {
  Consistency consistency = Consistency::kDefault;
  bool cached = false;
  bool must_revalidate = false;  // Cache-Control: must-revalidate or max-age=0.
  bool pretty = false;
  bool translate = false;
};

// Which nodes and instances are asked for: those that fit all of it.
struct ReadScope {
  TextPairs node_meta;
  std::vector<std::string> tags;
};

struct ReadOptions : ReadStyle, ReadScope {
  uint64_t index = 0;  // 0: not blocking.
  absl::Duration wait;
  std::string hash;  // Of what the client has; for endpoints that block by hash.
  std::string filter;
  std::string near;
  absl::Duration max_stale;  // Above 0: a stale read of a server that heard its leader later.
};

// Errors are responses' (http/errors.h): 400 for a bad value, 500 for a datacenter that is not
// known.
absl::StatusOr<ReadOptions> ParseReadOptions(const Request& request, const ReadDefaults& defaults);

// The request's `pretty`, or the default.
bool WantsPretty(const Request& request, const ReadDefaults& defaults);

// A bool as Go's strconv.ParseBool reads it: 1, t, T, true, TRUE, True and the like; nullopt for
// anything else.
std::optional<bool> ParseBool(std::string_view text);

}  // namespace pharos::http
