// UTF-8 (RFC 3629).
#pragma once

#include <cstddef>
#include <string_view>

namespace pharos {

// The octets of the well-formed character that `text` begins with; 0 if it begins with none.
size_t Utf8Length(std::string_view text);

// The offset of the first octet that does not belong to well-formed UTF-8; text.size() if all do.
size_t FindInvalidUtf8(std::string_view text);

}  // namespace pharos
