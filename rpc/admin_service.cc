#include "rpc/admin_service.h"

#include <algorithm>
#include <memory>
#include <string_view>
#include <vector>

#include "rpc/instances.h"
#include "rpc/unary_call.h"

namespace pharos::rpc {
namespace {

// The check that the cluster keeps of each agent, and the service that each server is.
constexpr std::string_view kAgentCheck = "serfHealth";
constexpr std::string_view kServerService = "consul";

const registry::HealthCheck* AgentCheckOf(const registry::NodeEntry& node) {
  const auto found = std::find_if(node.checks.begin(), node.checks.end(),
                                  [](const auto& check) { return check->id == kAgentCheck; });
  return found == node.checks.end() ? nullptr : found->get();
}

}  // namespace

::grpc::ServerUnaryReactor* AdminService::ListMembers(
    ::grpc::CallbackServerContext*, const discovery::v1::ListMembersRequest*,
    discovery::v1::ListMembersResponse* response) {
  ++context_.counters.calls;
  const std::shared_ptr<UnaryCall> answer = UnaryCall::Make();
  answer->Answer([&] {
    const Published<registry::Snapshot>::ReadGuard snapshot(context_.consensus.published());
    snapshot->ForEachNode([&](const registry::NodeEntry& node) {
      const registry::HealthCheck* check = AgentCheckOf(node);
      if (check == nullptr) return;  // An external host.
      discovery::v1::Member& member = *response->add_members();
      member.set_name(node.node->name);
      member.set_id(node.node->id.str());
      member.set_address(node.node->address.str());
      member.set_health(ToMessage(check->status));
      member.set_server(
          std::any_of(node.services.begin(), node.services.end(),
                      [](const auto& service) { return service->name == kServerService; }));
    });
    std::sort(response->mutable_members()->begin(), response->mutable_members()->end(),
              [](const auto& a, const auto& b) { return a.name() < b.name(); });
  });
  return answer.get();
}

::grpc::ServerUnaryReactor* AdminService::GetLeader(::grpc::CallbackServerContext*,
                                                    const discovery::v1::GetLeaderRequest*,
                                                    discovery::v1::GetLeaderResponse* response) {
  ++context_.counters.calls;
  const std::shared_ptr<UnaryCall> answer = UnaryCall::Make();
  const std::string leader = source_.leader();
  if (leader.empty()) {
    answer->Fail(absl::UnavailableError("no server leads at present; try again"));
  } else {
    answer->Answer([&] { response->set_address(leader); });
  }
  return answer.get();
}

::grpc::ServerUnaryReactor* AdminService::GetMetrics(
    ::grpc::CallbackServerContext*, const discovery::v1::GetMetricsRequest* request,
    discovery::v1::GetMetricsResponse* response) {
  ++context_.counters.calls;
  const std::shared_ptr<UnaryCall> answer = UnaryCall::Make();
  answer->Answer([&] { source_.metrics(request->prefix(), *response); });
  return answer.get();
}

}  // namespace pharos::rpc
