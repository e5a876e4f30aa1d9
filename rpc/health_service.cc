#include "rpc/health_service.h"

#include <set>
#include <string>
#include <utility>

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

HealthCheckResponse::ServingStatus StatusOf(const std::string& name, const Context& context) {
  if (name.empty() || name.starts_with(kOwnServices)) return HealthCheckResponse::SERVING;
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
    Follow({cluster::ServiceTopic(registry::LowerCase(name_))},
           [this](const std::set<std::string>&) { SendNext(); });
    SendNext();
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
  const HealthCheckResponse::ServingStatus status = StatusOf(request->service(), context_);
  if (status == HealthCheckResponse::SERVICE_UNKNOWN) {
    answer->Fail(
        WithReason(absl::NotFoundError(absl::StrFormat(
                       "no instance of service \"%s\" is registered", Excerpt(request->service()))),
                   "UNKNOWN_SERVICE"));
  } else {
    answer->Answer([&] { response->set_status(status); });
  }
  return answer.get();
}

::grpc::ServerWriteReactor<HealthCheckResponse>* HealthService::Watch(
    ::grpc::CallbackServerContext* call, const HealthCheckRequest* request) {
  return HealthStream::Start<HealthStream>(context_, call, request->service());
}

}  // namespace pharos::rpc
