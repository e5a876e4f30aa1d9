#include "rpc/xds_service.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "cluster/topics.h"
#include "rpc/errors.h"
#include "rpc/sending_stream.h"

namespace pharos::rpc {
namespace {

template <typename Session>
using XdsReactor = ::grpc::ServerBidiReactor<typename Session::Request, typename Session::Response>;

// One ADS stream: one response waits for the client at most, the next is made when it is taken.
template <typename Session>
class XdsStream final : public SendingStream<XdsReactor<Session>> {
 public:
  static XdsStream* Start(const Context& context, XdsResources& resources,
                          ::grpc::CallbackServerContext* call) {
    XdsStream* stream = Base::template Start<XdsStream>(context, resources, call);
    stream->StartRead(&stream->request_);
    return stream;
  }

  XdsStream(const Context& context, XdsResources& resources, ::grpc::CallbackServerContext* call)
      : Base(context, call, context.counters.xds_streams), resources_(resources) {}

  void OnReadDone(bool ok) override {
    this->Post([this, ok](Base&) {
      if (this->finished()) return;
      if (!ok) return this->End(absl::OkStatus());
      Take();
    });
  }

 private:
  using Base = SendingStream<XdsReactor<Session>>;

  void Take() {
    XdsRefusal refusal;
    const absl::Status taken = session_.Take(request_, refusal);
    if (!refusal.type_url.empty()) Refused(refusal);
    if (!taken.ok()) {
      ++this->context().counters.invalid;
      return this->End(taken);
    }
    FollowServices();
    SendNext();
    this->StartRead(&request_);
  }

  void Refused(const XdsRefusal& refusal) {
    ++this->context().counters.xds_nacks;
    // One line a stream: a client may refuse as often as it likes.
    if (std::exchange(refused_, true)) return;
    PHAROS_LOG(kWarn, "grpc", "An xDS client refused what it was sent: type=%s error=%s",
               Excerpt(refusal.type_url), Excerpt(refusal.message));
  }

  // Waits for changes of the services whose endpoints are wanted.
  void FollowServices() {
    std::set<std::string> services = session_.Services();
    if (services == services_) return;
    services_ = std::move(services);
    std::vector<std::string> topics;
    for (const std::string& service : services_) topics.push_back(cluster::ServiceTopic(service));
    this->Follow(std::move(topics), [this](const std::set<std::string>& changed) {
      std::set<std::string> touched;
      std::copy_if(services_.begin(), services_.end(), std::inserter(touched, touched.end()),
                   [&](const std::string& service) {
                     return changed.contains(cluster::ServiceTopic(service));
                   });
      session_.Touch(touched);
      SendNext();
    });
  }

  void SendNext() override {
    if (!this->may_send()) return;
    std::optional<typename Session::Response> next;
    {
      const Published<registry::Snapshot>::ReadGuard snapshot(
          this->context().consensus.published());
      next = session_.Next(resources_, *snapshot);
    }
    if (!next) return;
    response_ = *std::move(next);
    ++this->context().counters.sent;
    this->Send(response_);
  }

  XdsResources& resources_;
  Session session_;
  std::set<std::string> services_;
  typename Session::Request request_;
  typename Session::Response response_;
  bool refused_ = false;
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
