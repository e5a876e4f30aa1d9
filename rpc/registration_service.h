// pharos.discovery.v1.Registration: services register themselves (proto/discovery.proto).
#pragma once

#include "proto/discovery.grpc.pb.h"
#include "rpc/context.h"

namespace pharos::rpc {

// Called on gRPC's threads.
class RegistrationService final : public discovery::v1::Registration::CallbackService {
 public:
  explicit RegistrationService(const Context& context) : context_(context) {}

  ::grpc::ServerUnaryReactor* Register(::grpc::CallbackServerContext* call,
                                       const discovery::v1::RegisterRequest* request,
                                       discovery::v1::RegisterResponse* response) override;
  ::grpc::ServerUnaryReactor* Deregister(::grpc::CallbackServerContext* call,
                                         const discovery::v1::DeregisterRequest* request,
                                         discovery::v1::DeregisterResponse* response) override;
  ::grpc::ServerUnaryReactor* UpdateHealth(::grpc::CallbackServerContext* call,
                                           const discovery::v1::UpdateHealthRequest* request,
                                           discovery::v1::UpdateHealthResponse* response) override;
  ::grpc::ServerBidiReactor<discovery::v1::HoldRequest, discovery::v1::HoldResponse>* Hold(
      ::grpc::CallbackServerContext* call) override;

 private:
  template <typename Request, typename Response>
  ::grpc::ServerUnaryReactor* Forward(void (Registrar::*method)(Request, Registrar::Done),
                                      const Request& request, Response* response);

  const Context& context_;
};

}  // namespace pharos::rpc
