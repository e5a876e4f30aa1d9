// What the classes at cluster's edge, with threads and calls of their own, have in common.
#pragma once

#include <uv.h>

#include <cstdint>

#include "absl/status/status.h"
#include "grpcpp/support/status.h"

namespace pharos::cluster {

// Monotonic, in milliseconds since some time. Any thread.
inline uint64_t NowMs() { return uv_hrtime() / 1'000'000; }

// The codes are the same numbers.
inline absl::Status FromGrpc(const grpc::Status& status) {
  return {static_cast<absl::StatusCode>(status.error_code()), status.error_message()};
}

}  // namespace pharos::cluster
