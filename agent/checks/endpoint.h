// `host:port`, as checks name what they ask.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace pharos::agent {

struct Endpoint {
  std::string host;  // A name or an address; an IPv6 address without its brackets.
  uint16_t port = 0;
};

// Reads `name:port`, `a.b.c.d:port` or `[v6]:port`. The error says what was given and what was
// expected.
absl::StatusOr<Endpoint> ParseEndpoint(std::string_view text);

}  // namespace pharos::agent
