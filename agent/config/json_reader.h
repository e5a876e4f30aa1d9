// Reads a JSON configuration file into the tree that HCL is read into.
#pragma once

#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"
#include "agent/config/value.h"

namespace pharos::agent {

// Reads a whole file, which holds one object (RFC 8259); a file of nothing but blanks is an empty
// one, as a file that is filled later (and then reloaded) starts out like that. Of a key given
// twice the last one counts. Numbers beyond 64 bits become floats.
//
// InvalidArgument, `NAME:LINE:COLUMN: what was given, what was expected`, for anything else and
// beyond kConfigOctetsMax or kConfigDepthMax (hcl.h). No input makes it crash.
absl::StatusOr<Value> ReadJson(std::string_view text, std::string_view source_name,
                               uint32_t source);

}  // namespace pharos::agent
