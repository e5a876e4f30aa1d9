#include "rpc/registration_service.h"

#include "rpc/hold_stream.h"
#include "rpc/unary_call.h"
#include "rpc/validate.h"

namespace pharos::rpc {

template <typename Request, typename Response>
::grpc::ServerUnaryReactor* RegistrationService::Forward(void (Registrar::*method)(Request,
                                                                                   Registrar::Done),
                                                         const Request& request,
                                                         Response* response) {
  ++context_.counters.calls;
  const std::shared_ptr<UnaryCall> call = UnaryCall::Make();
  if (const absl::Status valid = Validate(request); !valid.ok()) {
    ++context_.counters.invalid;
    call->Fail(valid);
    return call.get();
  }
  (context_.registrar.*method)(request, [call, response](const absl::StatusOr<uint64_t>& outcome) {
    if (!outcome.ok()) return call->Fail(outcome.status());
    call->Answer([&] { response->set_index(*outcome); });
  });
  return call.get();
}

::grpc::ServerUnaryReactor* RegistrationService::Register(
    ::grpc::CallbackServerContext*, const discovery::v1::RegisterRequest* request,
    discovery::v1::RegisterResponse* response) {
  return Forward(&Registrar::Register, *request, response);
}

::grpc::ServerUnaryReactor* RegistrationService::Deregister(
    ::grpc::CallbackServerContext*, const discovery::v1::DeregisterRequest* request,
    discovery::v1::DeregisterResponse* response) {
  return Forward(&Registrar::Deregister, *request, response);
}

::grpc::ServerUnaryReactor* RegistrationService::UpdateHealth(
    ::grpc::CallbackServerContext*, const discovery::v1::UpdateHealthRequest* request,
    discovery::v1::UpdateHealthResponse* response) {
  return Forward(&Registrar::UpdateHealth, *request, response);
}

::grpc::ServerBidiReactor<discovery::v1::HoldRequest, discovery::v1::HoldResponse>*
RegistrationService::Hold(::grpc::CallbackServerContext*) {
  return HoldStream::Start(context_);
}

}  // namespace pharos::rpc
