// Durations as Go's time.ParseDuration reads them, which is how every Consul-compatible
// configuration, API parameter and flag spells them.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace pharos {

// Reads `300ms`, `1.5h`, `1m30s`, `-2s`, `0`; units ns us µs ms s m h. Anything else is
// InvalidArgument in Go's words (`time: missing unit in duration "10"`), so that messages users
// search for stay the same. The range is that of 64-bit nanoseconds (about 292 years).
absl::StatusOr<absl::Duration> ParseGoDuration(std::string_view text);

// As Go prints it: `1m30s`, `300ms`, `1.5s`, `0s`.
std::string FormatGoDuration(absl::Duration duration);

}  // namespace pharos
