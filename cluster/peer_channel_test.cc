#include "cluster/peer_channel.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <latch>

namespace pharos::cluster {
namespace {

// The last thing that gRPC calls back destroys the last channel there is.
struct OwningCall : grpc::ClientUnaryReactor {
  explicit OwningCall(std::latch& told) : ended(told) {
    stub.PrepareUnaryCall(&context, "/pharos.Test/Nothing", {}, &request, &response, this);
    StartCall();
  }
  void OnDone(const grpc::Status& status) override {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
    std::latch& waiting = ended;
    delete this;
    waiting.count_down();
  }

  std::latch& ended;
  std::shared_ptr<grpc::Channel> channel =
      MakePeerChannel("unix:/nonexistent", grpc::InsecureChannelCredentials(), "test");
  grpc::GenericStub stub{channel};
  grpc::ClientContext context;
  grpc::Slice slice{"nothing"};
  grpc::ByteBuffer request{&slice, 1}, response;
};

TEST(PeerChannel, MayBeDestroyedByTheCallThatUsesIt) {
  for (int i = 0; i < 100; ++i) {
    std::latch ended(1);
    new OwningCall(ended);
    ended.wait();
  }
}

}  // namespace
}  // namespace pharos::cluster
