#include "cluster/catalog_service.h"

#include <grpcpp/grpcpp.h>

#include <mutex>
#include <utility>

#include "absl/base/thread_annotations.h"
// What gRPC generates hides functions of its own.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverloaded-virtual"
#include "proto/peer.grpc.pb.h"
#pragma GCC diagnostic pop

namespace pharos::cluster {
namespace {

// Several serialized messages as one, without copying any.
grpc::ByteBuffer Join(const std::vector<SharedOctets>& messages) {
  std::vector<grpc::Slice> slices;
  slices.reserve(messages.size());
  for (const SharedOctets& octets : messages) {
    auto* const held = new SharedOctets(octets);
    // gRPC only reads what a slice of others points to.
    slices.emplace_back(
        const_cast<char*>((*held)->data()), (*held)->size(),
        [](void* held_by) { delete static_cast<SharedOctets*>(held_by); }, held);
  }
  return grpc::ByteBuffer(slices.data(), slices.size());
}

// What a call writes. Empty: nothing now.
std::vector<SharedOctets> NextOf(CatalogStream::Follower& follower) { return follower.Next(); }
std::vector<SharedOctets> NextOf(PartWatcher& watcher) {
  SharedOctets next = watcher.Next();
  if (next == nullptr) return {};
  return {std::move(next)};
}

grpc::Status ToGrpc(const absl::Status& status) {
  return {static_cast<grpc::StatusCode>(status.code()), std::string(status.message())};
}

// A call that is written to for as long as it lasts: by a follower of the catalog, or who watches a
// part. It is written to from gRPC's threads and from those that wake it; it owns
// itself until it is done, and those who may wake it hold it weakly.
template <typename Request, typename Source>
class StreamCall : public grpc::ServerWriteReactor<grpc::ByteBuffer> {
 public:
  // `begin` makes the source of a request, given what it is to call once there is something.
  template <typename Begin>
  static StreamCall* Make(grpc::ByteBuffer given, Begin begin) {
    auto call = std::make_shared<StreamCall>();
    call->self_ = call;
    Request request;
    if (const grpc::Status read = grpc::SerializationTraits<Request>::Deserialize(&given, &request);
        !read.ok()) {
      call->End(read);
      return call.get();
    }
    absl::StatusOr<std::unique_ptr<Source>> source =
        begin(request, [weak = std::weak_ptr<StreamCall>(call)] {
          if (const auto alive = weak.lock()) alive->Send();
        });
    if (!source.ok()) {
      call->End(ToGrpc(source.status()));
      return call.get();
    }
    {
      const std::lock_guard lock(call->mutex_);
      call->source_ = *std::move(source);
    }
    call->Send();
    return call.get();
  }

  void OnWriteDone(bool ok) override {
    {
      const std::lock_guard lock(mutex_);
      writing_ = false;
    }
    if (ok) {
      Send();
    } else {
      End(grpc::Status::OK);
    }
  }
  void OnCancel() override { End(grpc::Status::CANCELLED); }
  void OnDone() override {
    std::unique_ptr<Source> source;
    {
      const std::lock_guard lock(mutex_);
      source = std::move(source_);
    }
    source.reset();
    self_.reset();
  }

 private:
  // Writes what is next unless something is being written, whose end then does.
  void Send() {
    const std::lock_guard lock(mutex_);
    if (ended_ || writing_ || source_ == nullptr) return;
    const std::vector<SharedOctets> next = NextOf(*source_);
    if (next.empty()) return;
    buffer_ = Join(next);
    writing_ = true;
    // Under the lock, so that no end comes in between.
    StartWrite(&buffer_);
  }
  void End(const grpc::Status& status) {
    {
      const std::lock_guard lock(mutex_);
      if (std::exchange(ended_, true)) return;
    }
    Finish(status);
  }

  std::shared_ptr<StreamCall> self_;
  std::mutex mutex_;
  std::unique_ptr<Source> source_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::ByteBuffer buffer_;  // Of the one who writes.
};

// A call with one answer, which the caller may not wait for: it then ends at once, and what is
// still to be answered has nobody to go to.
template <typename Response>
class AnswerCall : public grpc::ServerUnaryReactor {
 public:
  explicit AnswerCall(Response* response) : response_(response) {}
  static std::shared_ptr<AnswerCall> Make(Response* response) {
    auto call = std::make_shared<AnswerCall>(response);
    call->self_ = call;
    return call;
  }
  void Answer(absl::StatusOr<Response> response) {
    const grpc::Status status = ToGrpc(response.status());
    {
      const std::lock_guard lock(mutex_);
      if (std::exchange(ended_, true)) return;
      if (response.ok()) *response_ = *std::move(response);
    }
    this->Finish(status);
  }
  // Who is to know that nobody waits for the answer any more.
  void SetOnGone(std::function<void()> on_gone) {
    if (!on_gone) return;
    {
      const std::lock_guard lock(mutex_);
      if (!gone_) {
        if (!ended_) on_gone_ = std::move(on_gone);
        return;
      }
    }
    on_gone();
  }
  void OnCancel() override {
    std::function<void()> on_gone;
    {
      const std::lock_guard lock(mutex_);
      if (std::exchange(ended_, true)) return;
      gone_ = true;
      on_gone = std::move(on_gone_);
    }
    this->Finish(grpc::Status::CANCELLED);
    if (on_gone) on_gone();
  }
  void OnDone() override { self_.reset(); }

 private:
  std::shared_ptr<AnswerCall> self_;
  std::mutex mutex_;
  Response* const response_;
  std::function<void()> on_gone_ ABSL_GUARDED_BY(mutex_);
  bool gone_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

// The streams are written as octets that are there already, all else as messages.
using Rpc = peer::v1::CatalogServer;
using Methods = Rpc::WithRawCallbackMethod_Follow<
    Rpc::WithCallbackMethod_Write<Rpc::WithCallbackMethod_ReadIndex<
        Rpc::WithRawCallbackMethod_Watch<Rpc::WithCallbackMethod_Http<Rpc::Service>>>>>;

class CatalogService : public Methods {
 public:
  CatalogService(CatalogStream& stream, CatalogEvents& events) : stream_(stream), events_(events) {}

  grpc::ServerWriteReactor<grpc::ByteBuffer>* Follow(grpc::CallbackServerContext*,
                                                     const grpc::ByteBuffer* request) override {
    return StreamCall<peer::v1::FollowRequest, CatalogStream::Follower>::Make(
        *request, [this](const peer::v1::FollowRequest& asked, std::function<void()> ready) {
          return stream_.Follow(asked, std::move(ready));
        });
  }
  grpc::ServerWriteReactor<grpc::ByteBuffer>* Watch(grpc::CallbackServerContext*,
                                                    const grpc::ByteBuffer* request) override {
    return StreamCall<peer::v1::WatchRequest, PartWatcher>::Make(
        *request, [this](const peer::v1::WatchRequest& asked, std::function<void()> ready) {
          return events_.OnWatch(asked, std::move(ready));
        });
  }
  grpc::ServerUnaryReactor* Http(grpc::CallbackServerContext*, const peer::v1::HttpRequest* request,
                                 peer::v1::HttpResponse* response) override {
    const auto call = AnswerCall<peer::v1::HttpResponse>::Make(response);
    call->SetOnGone(events_.OnHttp(*request, [call](absl::StatusOr<peer::v1::HttpResponse> result) {
      call->Answer(std::move(result));
    }));
    return call.get();
  }
  grpc::ServerUnaryReactor* Write(grpc::CallbackServerContext*,
                                  const peer::v1::WriteRequest* request,
                                  peer::v1::WriteResult* response) override {
    const auto call = AnswerCall<peer::v1::WriteResult>::Make(response);
    events_.OnClientWrite(
        *request, [call](peer::v1::WriteResult result) { call->Answer(std::move(result)); });
    return call.get();
  }
  grpc::ServerUnaryReactor* ReadIndex(grpc::CallbackServerContext*,
                                      const peer::v1::ReadIndexRequest* request,
                                      peer::v1::ReadIndexResult* response) override {
    const auto call = AnswerCall<peer::v1::ReadIndexResult>::Make(response);
    events_.OnClientRead(request->consistent(), [call](peer::v1::ReadIndexResult result) {
      call->Answer(std::move(result));
    });
    return call.get();
  }

 private:
  CatalogStream& stream_;
  CatalogEvents& events_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeCatalogService(CatalogStream& stream, CatalogEvents& events) {
  return std::make_unique<CatalogService>(stream, events);
}

}  // namespace pharos::cluster
