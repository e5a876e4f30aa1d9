#include "cluster/callback_threads.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

namespace pharos::cluster {
namespace {

// A call that is made ready and never started: its channel uses the threads from then on.
struct ReadyCall : grpc::ClientUnaryReactor {
  ReadyCall() { stub.PrepareUnaryCall(&context, "/none", {}, &request, &response, this); }

  std::shared_ptr<grpc::Channel> channel =
      grpc::CreateChannel("ipv4:127.0.0.1:9", grpc::InsecureChannelCredentials());
  grpc::GenericStub stub{channel};
  grpc::ClientContext context;
  grpc::ByteBuffer request, response;
};

}  // namespace

void KeepCallbackThreads() {
  // Never destroyed; volatile, for without a reader the compiler would forget where it is, and a
  // checker of leaks could not find it either.
  [[maybe_unused]] static ReadyCall* volatile call = new ReadyCall;
}

}  // namespace pharos::cluster
