#include "rpc/health_service.h"

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "cluster/topics.h"
#include "registry/records.h"
#include "rpc/errors.h"
#include "rpc/sending_stream.h"
#include "rpc/unary_call.h"

namespace pharos::rpc {
namespace {

using ::grpc::health::v1::HealthCheckRequest;
using ::grpc::health::v1::HealthCheckResponse;

constexpr std::string_view kOwnServices = "pharos.discovery.v1.";

bool IsOwn(const std::string& name) { return name.empty() || name.starts_with(kOwnServices); }

HealthCheckResponse::ServingStatus StatusOf(const std::string& name, const Context& context) {
  if (IsOwn(name)) return HealthCheckResponse::SERVING;
  const Published<registry::Snapshot>::ReadGuard snapshot(context.consensus.published());
  const registry::ServiceEntry* service = snapshot->FindService(registry::LowerCase(name));
  if (service == nullptr) return HealthCheckResponse::SERVICE_UNKNOWN;
  return service->all.everyone.healthy_count() > 0 ? HealthCheckResponse::SERVING
                                                   : HealthCheckResponse::NOT_SERVING;
}

// Sends the status at once and whenever it changes.
class HealthStream final : public SendingStream<::grpc::ServerWriteReactor<HealthCheckResponse>> {
 public:
  HealthStream(const Context& context, ::grpc::CallbackServerContext* call, std::string name)
      : SendingStream(context, call, context.counters.health_streams), name_(std::move(name)) {}

 private:
  void Opened() override {
    std::vector<std::string> topics;
    if (!IsOwn(name_)) topics.push_back(cluster::ServiceTopic(registry::LowerCase(name_)));
    Follow(topics, [this](const std::set<std::string>&) { SendNext(); });
  }
  void SendNext() override {
    if (!may_send()) return;
    const HealthCheckResponse::ServingStatus status = StatusOf(name_, context());
    if (sent_ && response_.status() == status) return;
    response_.set_status(status);
    sent_ = true;
    Send(response_);
  }

  const std::string name_;
  HealthCheckResponse response_;
  bool sent_ = false;
};

}  // namespace

::grpc::ServerUnaryReactor* HealthService::Check(::grpc::CallbackServerContext*,
                                                 const HealthCheckRequest* request,
                                                 HealthCheckResponse* response) {
  ++context_.counters.calls;
  const std::shared_ptr<UnaryCall> answer = UnaryCall::Make();
  const std::string& name = request->service();
  std::vector<std::string> topics;
  if (!IsOwn(name)) topics.push_back(cluster::ServiceTopic(registry::LowerCase(name)));
  WhenThere(context_, topics, [this, answer, name, response](const absl::Status& there) {
    if (!there.ok()) return answer->Fail(there);
    const HealthCheckResponse::ServingStatus status = StatusOf(name, context_);
    if (status == HealthCheckResponse::SERVICE_UNKNOWN) {
      return answer->Fail(
          WithReason(absl::NotFoundError(absl::StrFormat(
                         "no instance of service \"%s\" is registered", Excerpt(name))),
                     "UNKNOWN_SERVICE"));
    }
    answer->Answer([&] { response->set_status(status); });
  });
  return answer.get();
}

::grpc::ServerWriteReactor<HealthCheckResponse>* HealthService::Watch(
    ::grpc::CallbackServerContext* call, const HealthCheckRequest* request) {
  return HealthStream::Start<HealthStream>(context_, call, request->service());
}

}  // namespace pharos::rpc
