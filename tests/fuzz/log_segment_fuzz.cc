// The open segments of a log as a disk gives them back.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "cluster/log_segment.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto state = pharos::cluster::InspectSegment({data, size});
  CHECK(state.end_octets <= size);
  return 0;
}
