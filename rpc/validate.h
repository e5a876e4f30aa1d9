// Every rule of what clients may send by gRPC, as proto/discovery.proto tells it. Pure functions of
// the messages; each takes time in proportion to the message. An error is InvalidArgument that
// names the fields (rpc/errors.h), or ResourceExhausted for too many instances.
#pragma once

#include "absl/status/status.h"
#include "proto/discovery.pb.h"

namespace pharos::rpc {

// Of one lease.
inline constexpr int kInstancesPerLeaseMax = 1000;
inline constexpr uint32_t kLeaseTtlDefaultMs = 10'000;
// Of one message, when it is read.
inline constexpr int kMessageOctetsMax = 1 << 20;

absl::Status Validate(const discovery::v1::RegisterRequest& request);
absl::Status Validate(const discovery::v1::DeregisterRequest& request);
absl::Status Validate(const discovery::v1::UpdateHealthRequest& request);
absl::Status Validate(const discovery::v1::HoldRequest& request);
absl::Status Validate(const discovery::v1::Selector& selector);

// The id that an instance goes by: its own, or its service's name.
const std::string& IdOf(const discovery::v1::InstanceSpec& instance);

}  // namespace pharos::rpc
