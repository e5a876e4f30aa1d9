// envoy.service.discovery.v3.AggregatedDiscoveryService: xDS for gRPC clients
// (rpc/xds_resources.h).
#pragma once

#include "proto/xds/ads.grpc.pb.h"
#include "rpc/context.h"
#include "rpc/xds_session.h"

namespace pharos::rpc {

// Called on gRPC's threads.
class XdsService final
    : public ::envoy::service::discovery::v3::AggregatedDiscoveryService::CallbackService {
 public:
  // `resources` are of the thread `grpc`.
  XdsService(const Context& context, XdsResources& resources)
      : context_(context), resources_(resources) {}

  ::grpc::ServerBidiReactor<SotwSession::Request, SotwSession::Response>* StreamAggregatedResources(
      ::grpc::CallbackServerContext* call) override;
  ::grpc::ServerBidiReactor<DeltaSession::Request, DeltaSession::Response>*
  DeltaAggregatedResources(::grpc::CallbackServerContext* call) override;

 private:
  const Context& context_;
  XdsResources& resources_;
};

}  // namespace pharos::rpc
