// Durations as Go writes them: what is read is written and read again as the same.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/go_duration.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto parsed =
      pharos::ParseGoDuration(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!parsed.ok()) return 0;
  const auto again = pharos::ParseGoDuration(pharos::FormatGoDuration(*parsed));
  CHECK(again.ok() && *again == *parsed);
  return 0;
}
