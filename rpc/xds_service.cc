#include "rpc/xds_service.h"

#include <grpcpp/support/server_callback.h>
#include <uv.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "cluster/topics.h"
#include "rpc/errors.h"

namespace pharos::rpc {
namespace {

// One ADS stream. Takes its steps on the thread `grpc`; owns itself until gRPC is done with it. A
// client that does not read misses steps: one response waits at most, the next is made when it is
// taken.
template <typename Session>
class XdsStream final
    : public ::grpc::ServerBidiReactor<typename Session::Request, typename Session::Response>,
      public Stream,
      public std::enable_shared_from_this<XdsStream<Session>> {
 public:
  static XdsStream* Start(const Context& context, XdsResources& resources,
                          ::grpc::CallbackServerContext* call) {
    const auto stream = std::make_shared<XdsStream>(context, resources, call);
    stream->self_ = stream;
    stream->Post([](XdsStream& self) {
      self.context_.streams.Add(&self);
      if (self.context_.stopping) return self.Stop();
      if (self.count_.too_many()) {
        self.End(WithRetry(absl::ResourceExhaustedError("too many streams are open at this agent"),
                           absl::Seconds(1)));
      }
    });
    stream->StartRead(&stream->request_);
    return stream.get();
  }

  XdsStream(const Context& context, XdsResources& resources, ::grpc::CallbackServerContext* call)
      : context_(context),
        resources_(resources),
        call_(call),
        count_(context.counters, context.counters.xds_streams) {}

  void OnReadDone(bool ok) override {
    Post([ok](XdsStream& self) {
      if (self.finished_) return;
      if (!ok) return self.End(absl::OkStatus());
      self.Take();
    });
  }
  void OnWriteDone(bool ok) override {
    Post([ok](XdsStream& self) {
      self.sending_ = false;
      if (!ok) return self.End(absl::CancelledError("the client is gone"));
      self.SendNext();
    });
  }
  void OnCancel() override {
    Post([](XdsStream& self) { self.End(absl::CancelledError("the client is gone")); });
  }
  void OnDone() override {
    std::shared_ptr<XdsStream> self = std::move(self_);
    LoopMailbox::Post(context_.mailbox,
                      [self = std::move(self)] { self->context_.streams.Remove(self.get()); });
  }
  void Stop() override {
    End(absl::UnavailableError("the agent is stopping; try again, or elsewhere"));
  }
  void CheckProgress(uint64_t now_ns) override {
    if (finished_ || !sending_ || now_ns - sending_since_ns_ < Streams::kStallNs) return;
    ++context_.counters.stalled;
    call_->TryCancel();
  }

 private:
  template <typename Step>
  void Post(Step step) {
    LoopMailbox::Post(context_.mailbox,
                      [self = this->shared_from_this(), step = std::move(step)] { step(*self); });
  }

  void Take() {
    XdsRefusal refusal;
    const absl::Status taken = session_.Take(request_, refusal);
    if (!refusal.type_url.empty()) Refused(refusal);
    if (!taken.ok()) {
      ++context_.counters.invalid;
      return End(taken);
    }
    Follow();
    SendNext();
    this->StartRead(&request_);
  }

  void Refused(const XdsRefusal& refusal) {
    ++context_.counters.xds_nacks;
    // One line a stream: a client may refuse as often as it likes.
    if (std::exchange(refused_, true)) return;
    PHAROS_LOG(kWarn, "grpc", "An xDS client refused what it was sent: type=%s error=%s",
               Excerpt(refusal.type_url), Excerpt(refusal.message));
  }

  // Waits for changes of the services whose endpoints are wanted.
  void Follow() {
    std::set<std::string> services = session_.Services();
    if (services == services_) return;
    context_.hub.Remove(wake_id_);
    services_ = std::move(services);
    std::vector<std::string> topics;
    for (const std::string& service : services_) topics.push_back(cluster::ServiceTopic(service));
    wake_id_ = context_.hub.Add(std::move(topics), [this](const std::set<std::string>& changed) {
      std::set<std::string> touched;
      std::copy_if(services_.begin(), services_.end(), std::inserter(touched, touched.end()),
                   [&](const std::string& service) {
                     return changed.contains(cluster::ServiceTopic(service));
                   });
      session_.Touch(touched);
      SendNext();
    });
  }

  void SendNext() {
    if (finished_ || sending_) return;
    std::optional<typename Session::Response> next;
    {
      const Published<registry::Snapshot>::ReadGuard snapshot(context_.consensus.published());
      next = session_.Next(resources_, *snapshot);
    }
    if (!next) return;
    response_ = *std::move(next);
    sending_ = true;
    sending_since_ns_ = uv_hrtime();
    ++context_.counters.sent;
    this->StartWrite(&response_);
  }

  void End(const absl::Status& status) {
    if (finished_) return;
    finished_ = true;
    context_.hub.Remove(wake_id_);
    this->Finish(ToGrpcStatus(status));
  }

  const Context& context_;
  XdsResources& resources_;
  ::grpc::CallbackServerContext* call_;
  StreamCount count_;
  std::shared_ptr<XdsStream> self_;
  Session session_;
  std::set<std::string> services_;
  uint64_t wake_id_ = 0;
  typename Session::Request request_;
  typename Session::Response response_;
  bool sending_ = false, finished_ = false, refused_ = false;
  uint64_t sending_since_ns_ = 0;
};

}  // namespace

::grpc::ServerBidiReactor<SotwSession::Request, SotwSession::Response>*
XdsService::StreamAggregatedResources(::grpc::CallbackServerContext* call) {
  return XdsStream<SotwSession>::Start(context_, resources_, call);
}

::grpc::ServerBidiReactor<DeltaSession::Request, DeltaSession::Response>*
XdsService::DeltaAggregatedResources(::grpc::CallbackServerContext* call) {
  return XdsStream<DeltaSession>::Start(context_, resources_, call);
}

}  // namespace pharos::rpc
