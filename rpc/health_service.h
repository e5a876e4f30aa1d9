// grpc.health.v1.Health: gRPC's health checking protocol, of the agent and of every service of the
// catalog (proto/health.proto).
#pragma once

#include <memory>

#include "proto/health.grpc.pb.h"
#include "rpc/context.h"

namespace pharos::rpc {

// Called on gRPC's threads.
class HealthService final : public ::grpc::health::v1::Health::CallbackService {
 public:
  explicit HealthService(const Context& context) : context_(context) {}

  // NOT_FOUND for a service that is not registered, as the protocol has it.
  ::grpc::ServerUnaryReactor* Check(::grpc::CallbackServerContext* call,
                                    const ::grpc::health::v1::HealthCheckRequest* request,
                                    ::grpc::health::v1::HealthCheckResponse* response) override;
  ::grpc::ServerWriteReactor<::grpc::health::v1::HealthCheckResponse>* Watch(
      ::grpc::CallbackServerContext* call,
      const ::grpc::health::v1::HealthCheckRequest* request) override;

 private:
  const Context& context_;
};

}  // namespace pharos::rpc
