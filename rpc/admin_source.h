// What gRPC tells operators that only the agent knows.
#pragma once

#include <functional>
#include <string>

#include "proto/discovery.pb.h"

namespace pharos::rpc {

// Called on gRPC's threads.
struct AdminSource {
  // `IP:PORT`; empty while there is none.
  std::function<std::string()> leader;
  // Adds what is counted under names that begin with the prefix, by name; may wait for other
  // threads.
  std::function<void(const std::string& prefix, discovery::v1::GetMetricsResponse&)> metrics;
};

}  // namespace pharos::rpc
