// `pharos lookup`: a small dig, for machines that have none. This is the part without sockets.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/octets.h"

namespace pharos::agent {

// A query for `name` and `type` (a mnemonic, or TYPE and a number) in wire form. An IP address as
// name and no type asks for the PTR record of its reverse name; no type otherwise asks for A.
absl::StatusOr<std::vector<uint8_t>> MakeLookupQuery(std::string_view name, std::string_view type,
                                                     uint16_t id);

struct LookupReply {
  bool truncated = false;
  bool no_error = false;  // Rcode NOERROR.
  std::string text;       // The reply in dig's manner; with `short_form` only the answers' RDATA.
};

// Reads the reply to the query with `id`; an error says what is wrong with it.
absl::StatusOr<LookupReply> ReadLookupReply(Octets message, uint16_t id, bool short_form);

}  // namespace pharos::agent
