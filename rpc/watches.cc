#include "rpc/watches.h"

#include <grpcpp/server_context.h>
#include <uv.h>

#include <optional>
#include <utility>

#include "rpc/errors.h"

namespace pharos::rpc {

using registry::Snapshot;

Watches::~Watches() {
  for (const auto& [key, followed] : views_) context_.hub.Remove(followed->wake_id);
}

absl::Status Watches::Follow(WatchStream& stream, const std::string& key,
                             const std::function<std::unique_ptr<View>()>& make,
                             uint64_t resume_index) {
  auto found = views_.find(key);
  if (found == views_.end()) {
    if (views_.size() >= kViewsMax) {
      return WithRetry(absl::ResourceExhaustedError(
                           "too many different sets are watched at this agent; try another"),
                       absl::Seconds(60));
    }
    auto followed = std::make_unique<Followed>();
    followed->view = make();
    // Told of changes before it reads, so that none is missed.
    followed->wake_id = context_.hub.Add(
        followed->view->Topics(),
        [this, at = followed.get()](const std::set<std::string>& topics) { Refresh(*at, topics); });
    found = views_.emplace(key, std::move(followed)).first;
    ++context_.counters.views;
  }
  Followed& followed = *found->second;
  followed.streams.insert(&stream);
  stream.followed_ = &followed;
  // It may be there only when the stream, or its server, has ended.
  context_.consensus.Have(followed.view->Topics(),
                          [mailbox = context_.mailbox, weak = stream.weak_from_this(),
                           resume_index](const absl::Status& there) {
                            LoopMailbox::Post(mailbox, [weak, there, resume_index] {
                              const auto self = weak.lock();
                              if (self == nullptr || self->finished_) return;
                              if (!there.ok()) return self->End(there);
                              self->watches_.Begin(*self, resume_index);
                            });
                          });
  return absl::OkStatus();
}

void Watches::Begin(WatchStream& stream, uint64_t resume_index) {
  stream.begun_ = true;
  View& view = *stream.followed_->view;
  const Published<Snapshot>::ReadGuard snapshot(context_.consensus.published());
  if (view.version() == 0 || view.FullIsRead()) view.Refresh(*snapshot, nullptr);
  const std::optional<uint64_t> has =
      resume_index == 0 ? std::nullopt : view.VersionAt(resume_index);
  if (!has) {
    stream.version_ = view.version();
    ++context_.counters.encoded;
    stream.Send(view.Full(*snapshot));
  } else if (*has == view.version()) {
    stream.version_ = *has;
    stream.Send(view.Unchanged());
  } else {
    stream.version_ = *has;
    SendNext(stream);
  }
}

void Watches::Leave(WatchStream& stream) {
  if (stream.followed_ == nullptr) return;
  stream.followed_->streams.erase(&stream);
  if (stream.followed_->streams.empty()) stream.followed_->deserted_ns = uv_hrtime();
  stream.followed_ = nullptr;
}

void Watches::SendNext(WatchStream& stream) {
  if (stream.followed_ == nullptr || stream.sending_ || !stream.begun_) return;
  View& view = *stream.followed_->view;
  if (stream.version_ == view.version()) return;
  if (const ::grpc::ByteBuffer* step = view.StepFrom(stream.version_)) {
    ++stream.version_;
    return stream.Send(*step);
  }
  const Published<Snapshot>::ReadGuard snapshot(context_.consensus.published());
  if (view.FullIsRead()) view.Refresh(*snapshot, nullptr);
  stream.version_ = view.version();
  ++context_.counters.caught_up;
  stream.Send(view.Full(*snapshot));
}

void Watches::Refresh(Followed& followed, const std::set<std::string>& topics) {
  {
    const Published<Snapshot>::ReadGuard snapshot(context_.consensus.published());
    if (followed.view->Refresh(*snapshot, &topics)) ++context_.counters.encoded;
  }
  for (WatchStream* stream : followed.streams) SendNext(*stream);
}

void Watches::Sweep(uint64_t now_ns) {
  for (auto at = views_.begin(); at != views_.end();) {
    const Followed& followed = *at->second;
    if (followed.streams.empty() && now_ns - followed.deserted_ns > kLingerNs) {
      context_.hub.Remove(followed.wake_id);
      views_.erase(at++);
      --context_.counters.views;
    } else {
      ++at;
    }
  }
}

WatchStream* WatchStream::Start(const Context& context, Watches& watches,
                                ::grpc::CallbackServerContext* call, Begin begin) {
  const auto stream = std::make_shared<WatchStream>(context, watches, call);
  stream->self_ = stream;
  stream->Post([begin = std::move(begin)](WatchStream& self) {
    self.context_.streams.Add(&self);
    if (self.finished_) return;
    if (self.context_.stopping) return self.Stop();
    if (self.count_.too_many()) {
      return self.End(
          WithRetry(absl::ResourceExhaustedError("too many streams are open at this agent"),
                    absl::Seconds(1)));
    }
    const absl::Status begun = begin(self);
    if (!begun.ok()) self.End(begun);
  });
  return stream.get();
}

WatchStream::WatchStream(const Context& context, Watches& watches,
                         ::grpc::CallbackServerContext* call)
    : context_(context),
      watches_(watches),
      call_(call),
      count_(context.counters, context.counters.watch_streams) {}

template <typename Step>
void WatchStream::Post(Step step) {
  LoopMailbox::Post(context_.mailbox,
                    [self = shared_from_this(), step = std::move(step)] { step(*self); });
}

void WatchStream::Send(const ::grpc::ByteBuffer& message) {
  sending_ = true;
  sending_since_ns_ = uv_hrtime();
  message_ = message;  // Shares the octets.
  ++context_.counters.sent;
  StartWrite(&message_);
}

void WatchStream::OnWriteDone(bool ok) {
  Post([ok](WatchStream& self) {
    self.sending_ = false;
    if (self.finished_) return;
    if (!ok) return self.End(absl::CancelledError("the client is gone"));
    self.watches_.SendNext(self);
  });
}

void WatchStream::OnCancel() {
  Post([](WatchStream& self) { self.End(absl::CancelledError("the client is gone")); });
}

void WatchStream::OnDone() {
  std::shared_ptr<WatchStream> self = std::move(self_);
  LoopMailbox::Post(context_.mailbox,
                    [self = std::move(self)] { self->context_.streams.Remove(self.get()); });
}

void WatchStream::Stop() {
  End(absl::UnavailableError("the agent is stopping; try again, or elsewhere"));
}

void WatchStream::CheckProgress(uint64_t now_ns) {
  if (finished_ || !sending_ || now_ns - sending_since_ns_ < Streams::kStallNs) return;
  ++context_.counters.stalled;
  // Nothing more can be said to a client that does not read.
  call_->TryCancel();
}

void WatchStream::End(const absl::Status& status) {
  if (finished_) return;
  finished_ = true;
  watches_.Leave(*this);
  Finish(ToGrpcStatus(status));
}

}  // namespace pharos::rpc
