// pharos.discovery.v1.Discovery: services are found and followed (proto/discovery.proto).
#pragma once

#include <mutex>

#include "absl/base/thread_annotations.h"
#include "base/random.h"
#include "proto/discovery.grpc.pb.h"
#include "rpc/context.h"
#include "rpc/unary_call.h"
#include "rpc/watches.h"

namespace pharos::rpc {

// What is watched is encoded by views, once for all watchers, so these methods take octets.
using DiscoveryBase = discovery::v1::Discovery::WithRawCallbackMethod_Watch<
    discovery::v1::Discovery::WithRawCallbackMethod_WatchServices<
        discovery::v1::Discovery::WithCallbackMethod_Lookup<
            discovery::v1::Discovery::WithCallbackMethod_ListServices<
                discovery::v1::Discovery::Service>>>>;

// Called on gRPC's threads.
class DiscoveryService final : public DiscoveryBase {
 public:
  DiscoveryService(const Context& context, Watches& watches, uint64_t seed)
      : context_(context), watches_(watches), random_(seed) {}

  ::grpc::ServerUnaryReactor* Lookup(::grpc::CallbackServerContext* call,
                                     const discovery::v1::LookupRequest* request,
                                     discovery::v1::LookupResponse* response) override;
  ::grpc::ServerUnaryReactor* ListServices(::grpc::CallbackServerContext* call,
                                           const discovery::v1::ListServicesRequest* request,
                                           discovery::v1::ListServicesResponse* response) override;
  ::grpc::ServerWriteReactor<::grpc::ByteBuffer>* Watch(::grpc::CallbackServerContext* call,
                                                        const ::grpc::ByteBuffer* request) override;
  ::grpc::ServerWriteReactor<::grpc::ByteBuffer>* WatchServices(
      ::grpc::CallbackServerContext* call, const ::grpc::ByteBuffer* request) override;

 private:
  // Answers once what the topic is about is there.
  template <typename Request, typename Response>
  void AnswerWhenThere(const std::string& topic, const Request& request, Response* response,
                       const std::shared_ptr<UnaryCall>& answer);
  absl::Status Fill(const discovery::v1::LookupRequest& request,
                    discovery::v1::LookupResponse& response);
  absl::Status Fill(const discovery::v1::ListServicesRequest& request,
                    discovery::v1::ListServicesResponse& response);

  const Context& context_;
  Watches& watches_;
  std::mutex mutex_;
  Random random_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pharos::rpc
