// A unary call that is answered later, from any thread, unless its client has given it up by then.
#pragma once

#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <memory>

#include "absl/status/status.h"
#include "rpc/errors.h"

namespace pharos::rpc {

class UnaryCall final : public ::grpc::ServerUnaryReactor {
 public:
  // Owns itself until gRPC is done with it and no copy is left.
  static std::shared_ptr<UnaryCall> Make() {
    auto call = std::make_shared<UnaryCall>();
    call->self_ = call;
    return call;
  }

  // Once; calls `fill` first, which writes the response, unless the client has gone.
  template <typename Fill>
  void Answer(Fill fill) {
    if (answered_.exchange(true)) return;
    fill();
    Finish(::grpc::Status::OK);
  }
  void Fail(const absl::Status& status) {
    if (!answered_.exchange(true)) Finish(ToGrpcStatus(status));
  }

  void OnCancel() override { Fail(absl::CancelledError("the client has given up")); }
  void OnDone() override { self_.reset(); }

 private:
  std::atomic<bool> answered_ = false;
  std::shared_ptr<UnaryCall> self_;
};

}  // namespace pharos::rpc
