// Strings in double quotes as Go writes them (The Go Programming Language Specification, "String
// literals").
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace pharos::http {

// Appends to `out` what the escape that `text` begins with (at its backslash) stands for, and
// returns its length in octets; nullopt when it is none, as `\'` is none in double quotes.
std::optional<size_t> AppendGoEscape(std::string_view text, std::string& out);

}  // namespace pharos::http
