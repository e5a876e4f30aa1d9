#include "rpc/health_service.h"

#include <uv.h>

#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "cluster/topics.h"
#include "registry/records.h"
#include "rpc/errors.h"
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

// Sends the status at once and whenever it changes. A client that does not read gets the newest.
class HealthStream final : public ::grpc::ServerWriteReactor<HealthCheckResponse>,
                           public Stream,
                           public std::enable_shared_from_this<HealthStream> {
 public:
  static HealthStream* Start(const Context& context, ::grpc::CallbackServerContext* call,
                             std::string name) {
    const auto stream = std::make_shared<HealthStream>(context, call, std::move(name));
    stream->self_ = stream;
    stream->Post([](HealthStream& self) { self.Begin(); });
    return stream.get();
  }

  HealthStream(const Context& context, ::grpc::CallbackServerContext* call, std::string name)
      : context_(context),
        call_(call),
        count_(context.counters, context.counters.health_streams),
        name_(std::move(name)) {}

  void OnWriteDone(bool ok) override {
    Post([ok](HealthStream& self) {
      self.sending_ = false;
      if (!ok) return self.End(absl::CancelledError("the client is gone"));
      self.SendIfNew();
    });
  }
  void OnCancel() override {
    Post([](HealthStream& self) { self.End(absl::CancelledError("the client is gone")); });
  }
  void OnDone() override {
    std::shared_ptr<HealthStream> self = std::move(self_);
    LoopMailbox::Post(context_.mailbox,
                      [self = std::move(self)] { self->context_.streams.Remove(self.get()); });
  }
  void Stop() override { End(absl::UnavailableError("the agent is stopping")); }
  void CheckProgress(uint64_t now_ns) override {
    if (finished_ || !sending_ || now_ns - sending_since_ns_ < Streams::kStallNs) return;
    ++context_.counters.stalled;
    call_->TryCancel();
  }

 private:
  template <typename Step>
  void Post(Step step) {
    LoopMailbox::Post(context_.mailbox,
                      [self = shared_from_this(), step = std::move(step)] { step(*self); });
  }
  void Begin() {
    context_.streams.Add(this);
    if (finished_) return;
    if (context_.stopping) return Stop();
    if (count_.too_many()) {
      return End(WithRetry(absl::ResourceExhaustedError("too many streams are open at this agent"),
                           absl::Seconds(1)));
    }
    wake_id_ = context_.hub.Add({cluster::ServiceTopic(registry::LowerCase(name_))},
                                [this](const std::set<std::string>&) { SendIfNew(); });
    SendIfNew();
  }
  void SendIfNew() {
    if (finished_ || sending_) return;
    const HealthCheckResponse::ServingStatus status = StatusOf(name_, context_);
    if (sent_ && response_.status() == status) return;
    response_.set_status(status);
    sent_ = sending_ = true;
    sending_since_ns_ = uv_hrtime();
    StartWrite(&response_);
  }
  void End(const absl::Status& status) {
    if (finished_) return;
    finished_ = true;
    context_.hub.Remove(wake_id_);
    Finish(ToGrpcStatus(status));
  }

  const Context& context_;
  ::grpc::CallbackServerContext* call_;
  StreamCount count_;
  std::shared_ptr<HealthStream> self_;
  const std::string name_;
  uint64_t wake_id_ = 0;
  HealthCheckResponse response_;
  bool sent_ = false, sending_ = false, finished_ = false;
  uint64_t sending_since_ns_ = 0;
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
  return HealthStream::Start(context_, call, request->service());
}

}  // namespace pharos::rpc
