// Where to find a node to join, as people write it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace pharos::gossip {

struct JoinAddress {
  std::string node;  // The node that is meant; empty: any.
  std::string host;  // An IP address without brackets, or a name.
  uint16_t port = 0;
};

// `10.0.0.1`, `10.0.0.1:8301`, `::1`, `[::1]:8301`, `server-1.example.com:8301`, and each of these
// behind `NODE/`. InvalidArgument, with what was given, for anything else.
absl::StatusOr<JoinAddress> ParseJoinAddress(std::string_view text, uint16_t default_port);

}  // namespace pharos::gossip
