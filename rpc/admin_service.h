// pharos.discovery.v1.Admin: what the agent is part of (proto/discovery.proto).
#pragma once

#include <utility>

#include "proto/discovery.grpc.pb.h"
#include "rpc/admin_source.h"
#include "rpc/context.h"

namespace pharos::rpc {

class AdminService final : public discovery::v1::Admin::CallbackService {
 public:
  AdminService(const Context& context, AdminSource source)
      : context_(context), source_(std::move(source)) {}

  ::grpc::ServerUnaryReactor* ListMembers(::grpc::CallbackServerContext* call,
                                          const discovery::v1::ListMembersRequest* request,
                                          discovery::v1::ListMembersResponse* response) override;
  ::grpc::ServerUnaryReactor* GetLeader(::grpc::CallbackServerContext* call,
                                        const discovery::v1::GetLeaderRequest* request,
                                        discovery::v1::GetLeaderResponse* response) override;
  ::grpc::ServerUnaryReactor* GetMetrics(::grpc::CallbackServerContext* call,
                                         const discovery::v1::GetMetricsRequest* request,
                                         discovery::v1::GetMetricsResponse* response) override;

 private:
  const Context& context_;
  const AdminSource source_;
};

}  // namespace pharos::rpc
