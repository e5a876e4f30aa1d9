#include "rpc/hold_stream.h"

#include <uv.h>

#include <utility>

#include "rpc/errors.h"
#include "rpc/validate.h"

namespace pharos::rpc {

using discovery::v1::HoldRequest;

HoldStream* HoldStream::Start(const Context& context) {
  const auto stream = std::make_shared<HoldStream>(context);
  stream->self_ = stream;
  stream->Post([](HoldStream& self) {
    self.context_.streams.Add(&self);
    if (self.context_.stopping) self.Stop();
  });
  if (stream->count_.too_many()) {
    stream->Post([](HoldStream& self) {
      self.End(WithRetry(absl::ResourceExhaustedError("too many streams are open at this agent"),
                         absl::Seconds(1)));
    });
  } else {
    stream->StartRead(&stream->request_);
  }
  return stream.get();
}

HoldStream::HoldStream(const Context& context)
    : context_(context), count_(context.counters, context.counters.hold_streams) {}

// Steps come in the order posted, and none after the loop has ended.
template <typename Step>
void HoldStream::Post(Step step) {
  LoopMailbox::Post(context_.mailbox,
                    [self = shared_from_this(), step = std::move(step)] { step(*self); });
}

void HoldStream::OnReadDone(bool ok) {
  Post([ok](HoldStream& self) {
    // Without a release the holder may be dead: the lease's grace decides.
    if (ok) return self.Take();
    self.End(absl::OkStatus());
  });
}

void HoldStream::OnWriteDone(bool ok) {
  Post([ok](HoldStream& self) {
    if (self.finished_) return;
    if (!ok) return self.End(absl::CancelledError("the holder is gone"));
    if (self.released_) return self.End(absl::OkStatus());
    self.StartRead(&self.request_);
  });
}

void HoldStream::OnCancel() {
  Post([](HoldStream& self) { self.End(absl::CancelledError("the holder is gone")); });
}

void HoldStream::OnDone() {
  // Dropped by the loop, so that no step of this stream runs while it is destroyed; once the loop
  // has ended, here.
  std::shared_ptr<HoldStream> self = std::move(self_);
  LoopMailbox::Post(context_.mailbox,
                    [self = std::move(self)] { self->context_.streams.Remove(self.get()); });
}

void HoldStream::Take() {
  if (finished_) return;
  taken_ns_ = uv_hrtime();
  request_number_ = request_.request_number();
  const bool opens = request_.request_case() == HoldRequest::kOpen;
  if (opens != !session_) {
    ++context_.counters.invalid;
    return End(absl::InvalidArgumentError(
        opens ? "open is sent a second time; expected it once, first"
              : "the first message is not open; expected it before all others"));
  }
  if (const absl::Status valid = Validate(request_); !valid.ok()) {
    ++context_.counters.invalid;
    if (opens) return End(valid);
    return Respond(valid);
  }
  if (opens) return Open();
  if (request_.has_release()) return Release();
  Change();
}

void HoldStream::Open() {
  context_.registrar.Open(
      std::move(*request_.mutable_open()),
      [weak = weak_from_this()](const absl::Status& why) {
        if (const auto self = weak.lock()) {
          self->Post([why](HoldStream& stream) { stream.OnTaken(why); });
        }
      },
      [self = shared_from_this()](const absl::StatusOr<Registrar::Opened>& opened) {
        self->Post([opened](HoldStream& stream) { stream.OnOpened(opened); });
      });
}

void HoldStream::OnOpened(const absl::StatusOr<Registrar::Opened>& opened) {
  if (!opened.ok()) return End(opened.status());
  if (finished_) {
    // The holder left while its lease was made.
    if (!context_.stopping) context_.registrar.Lost(opened->session);
    return;
  }
  session_ = opened->session;
  response_.Clear();
  response_.set_request_number(request_number_);
  *response_.mutable_opened() = opened->response;
  Write();
}

void HoldStream::Change() {
  context_.registrar.Change(
      *session_, std::move(request_),
      [self = shared_from_this()](const absl::StatusOr<uint64_t>& outcome) {
        self->Post([outcome](HoldStream& stream) { stream.Respond(outcome); });
      });
}

void HoldStream::Release() {
  context_.registrar.Release(*session_,
                             [self = shared_from_this()](const absl::StatusOr<uint64_t>& outcome) {
                               self->Post([outcome](HoldStream& stream) {
                                 stream.released_ = true;
                                 stream.Respond(outcome);
                               });
                             });
}

void HoldStream::OnTaken(const absl::Status& why) {
  session_.reset();
  End(why);
}

void HoldStream::Respond(const absl::StatusOr<uint64_t>& outcome) {
  if (finished_) return;
  response_.Clear();
  response_.set_request_number(request_number_);
  if (outcome.ok()) {
    response_.mutable_done()->set_index(*outcome);
  } else {
    const google::rpc::Status status = ToMessage(outcome.status());
    response_.mutable_error()->set_code(status.code());
    response_.mutable_error()->set_message(status.message());
    response_.mutable_error()->set_details(status.SerializeAsString());
  }
  Write();
}

void HoldStream::Write() {
  context_.counters.hold_changes.Add(uv_hrtime() - taken_ns_);
  StartWrite(&response_);
}

void HoldStream::End(const absl::Status& status) {
  if (finished_) return;
  finished_ = true;
  if (context_.stopping) {
    Finish(ToGrpcStatus(absl::UnavailableError("the agent is stopping; try again, or elsewhere")));
    return;
  }
  if (session_ && !released_) {
    ++context_.counters.lost_streams;
    context_.registrar.Lost(*session_);
  }
  Finish(ToGrpcStatus(status));
}

}  // namespace pharos::rpc
