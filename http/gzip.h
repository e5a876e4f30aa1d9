// Whole texts in the gzip format (RFC 1952), for files.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace pharos::http {

// Unpacked, a text is at most so long: few octets must not fill the memory.
inline constexpr size_t kGunzipOctetsMax = size_t{2} << 30;

std::string Gzip(const std::vector<std::string>& parts);
// DataLoss for what is not in the format, is damaged or too long.
absl::StatusOr<std::string> GunzipAll(std::string_view packed);

}  // namespace pharos::http
