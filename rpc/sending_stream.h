// What the streams that send the newest state have in common: they take their steps on the thread
// `grpc`, own themselves until gRPC is done with them, and have one message on its way at most. A
// client that does not read misses states, and none waits for it.
#pragma once

#include <grpcpp/support/server_callback.h>
#include <uv.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "rpc/context.h"
#include "rpc/errors.h"

namespace pharos::rpc {

// `Reactor` is gRPC's, with StartWrite and Finish.
template <typename Reactor>
class SendingStream : public Reactor,
                      public Stream,
                      public std::enable_shared_from_this<SendingStream<Reactor>> {
 public:
  // Hands the stream to gRPC, and has it begin on its thread.
  template <typename Derived, typename... Arguments>
  static Derived* Start(const Context& context, Arguments&&... arguments) {
    const auto stream = std::make_shared<Derived>(context, std::forward<Arguments>(arguments)...);
    stream->self_ = stream;
    stream->Post([](SendingStream& self) { self.Begin(); });
    return stream.get();
  }

  void OnWriteDone(bool ok) override {
    Post([ok](SendingStream& self) {
      self.sending_ = false;
      if (!ok) return self.End(absl::CancelledError("the client is gone"));
      self.SendNext();
    });
  }
  void OnCancel() override {
    Post([](SendingStream& self) { self.End(absl::CancelledError("the client is gone")); });
  }
  void OnDone() override {
    std::shared_ptr<SendingStream> self = std::move(self_);
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

 protected:
  // `open` counts the streams of this kind.
  SendingStream(const Context& context, ::grpc::CallbackServerContext* call,
                std::atomic<uint64_t>& open)
      : context_(context), call_(call), count_(context.counters, open) {}

  // Everything below is for the thread `grpc`, but Post, which is how to get there.
  template <typename Step>
  void Post(Step step) {
    LoopMailbox::Post(context_.mailbox,
                      [self = this->shared_from_this(), step = std::move(step)] { step(*self); });
  }
  // It may begin: neither is the agent stopping, nor are there too many streams.
  virtual void Opened() {}
  // Sends what is newest, if that is not under way or known; see may_send().
  virtual void SendNext() = 0;

  bool may_send() const { return !finished_ && !sending_ && !lacks_; }
  bool finished() const { return finished_; }
  const Context& context() const { return context_; }
  // `message` stays as it is until the next call of SendNext.
  template <typename Message>
  void Send(const Message& message) {
    sending_ = true;
    sending_since_ns_ = uv_hrtime();
    this->StartWrite(&message);
  }
  // SendNext is to be thought of, too, when one of these topics changes; in place of earlier ones.
  // It is called, too, once what concerns them is there; until then nothing is to be sent.
  void Follow(const std::vector<std::string>& topics, TopicHub::Wake wake) {
    const uint64_t before = wake_id_;
    wake_id_ = context_.hub.Add(topics, std::move(wake));
    context_.hub.Remove(before);
    lacks_ = true;
    // It may be there only when the stream, or its server, has ended.
    context_.consensus.Have(topics, [mailbox = context_.mailbox, weak = this->weak_from_this(),
                                     id = wake_id_](const absl::Status& status) {
      LoopMailbox::Post(mailbox, [weak, id, status] {
        const auto stream = weak.lock();
        if (stream == nullptr || stream->finished_ || stream->wake_id_ != id) return;
        if (!status.ok()) return stream->End(status);
        stream->lacks_ = false;
        stream->SendNext();
      });
    });
  }
  void End(const absl::Status& status) {
    if (finished_) return;
    finished_ = true;
    context_.hub.Remove(wake_id_);
    this->Finish(ToGrpcStatus(status));
  }

 private:
  void Begin() {
    context_.streams.Add(this);
    if (finished_) return;
    if (context_.stopping) return Stop();
    if (count_.too_many()) {
      return End(WithRetry(absl::ResourceExhaustedError("too many streams are open at this agent"),
                           absl::Seconds(1)));
    }
    Opened();
  }

  const Context& context_;
  ::grpc::CallbackServerContext* call_;
  StreamCount count_;
  std::shared_ptr<SendingStream> self_;
  uint64_t wake_id_ = 0;
  bool sending_ = false, finished_ = false, lacks_ = false;
  uint64_t sending_since_ns_ = 0;
};

}  // namespace pharos::rpc
