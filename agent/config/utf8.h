// UTF-8 (RFC 3629).
#pragma once

#include <cstddef>
#include <string_view>

namespace pharos::agent {

// The offset of the first octet that does not belong to well-formed UTF-8; text.size() if all do.
size_t FindInvalidUtf8(std::string_view text);

}  // namespace pharos::agent
