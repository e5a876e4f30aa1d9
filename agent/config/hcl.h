// Reads HCL version 1 (https://github.com/hashicorp/hcl/tree/hcl1), the configuration language of
// Consul's files, written by hand here as no library reads it rightly.
#pragma once

#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"
#include "agent/config/value.h"

namespace pharos::agent {

inline constexpr size_t kConfigOctetsMax = size_t{1} << 20;  // Of one file.
inline constexpr int kConfigDepthMax = 32;                   // Of objects and lists in each other.

// Reads a whole file into a map. What is taken: `key = value`, blocks `key { ... }` and `key = {
// ... }`, labelled blocks (`service "x" { ... }` is `service { x { ... } }`), quoted keys, `#`,
// `//` and `/* */` comments, texts with escapes, heredocs `<<EOT` and `<<-EOT`, decimal,
// hexadecimal and octal integers, floats, true and false, lists, and commas between entries. An
// object given several times under one key becomes a list of objects; of anything else the last one
// counts.
// `${...}` inside a text is kept as it stands.
//
// InvalidArgument, `NAME:LINE:COLUMN: what was given, what was expected`, for anything else, for
// text that is not UTF-8, and beyond kConfigOctetsMax or kConfigDepthMax. `source` goes into every
// Position. No input makes it crash.
absl::StatusOr<Value> ReadHcl(std::string_view text, std::string_view source_name, uint32_t source);

}  // namespace pharos::agent
