#include "dns/uv_resolver.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "base/check.h"
#include "base/random.h"

namespace pharos::dns {

UvResolver::UvResolver(uv_loop_t* loop, const ResolverOptions& options)
    : loop_(loop),
      started_(absl::Now()),
      started_ns_(uv_hrtime()),
      forwarder_(options, [this](MutableOctets target) { random_.Fill(target); }),
      ports_(loop, *this),
      tls_(options.tls),
      read_buffer_(kMessageOctetsMax) {
  CHECK(uv_timer_init(loop, &timer_) == 0);
  timer_.data = this;
}

UvResolver::~UvResolver() { CHECK(closing_ && handles_ == 0); }

absl::Time UvResolver::Now() const {
  return started_ + absl::Nanoseconds(static_cast<int64_t>(uv_hrtime() - started_ns_));
}

void UvResolver::Resolve(const UpstreamQuestion& question, absl::Time /*now*/, Done done) {
  if (closing_) return done(UpstreamAnswer());
  ForwarderOutput out;
  forwarder_.Ask(question, Now(), std::move(done), out);
  Perform(out);
}

void UvResolver::Reconfigure(const ResolverOptions& options) {
  forwarder_.Configure(options);
  absl::erase_if(dot_, [](const auto& entry) { return entry.second->idle(); });
  // Those under way go on; they read no files any more.
  tls_ = TlsClient(options.tls);
}

void UvResolver::OnMessage(uint64_t exchange, const SocketAddress& source, MutableOctets message) {
  ForwarderOutput out;
  forwarder_.OnReply(exchange, source, message, Now(), out);
  Perform(out);
}

void UvResolver::OnError(uint64_t exchange) {
  ForwarderOutput out;
  forwarder_.OnFailure(exchange, Now(), out);
  Perform(out);
}

void UvResolver::Perform(ForwarderOutput& out) {
  size_t closed = 0;
  for (size_t sent = 0; sent < out.sends.size(); ++sent) {
    // A send that fails adds to the output: what it ends, and what is tried instead.
    for (; closed < out.closes.size(); ++closed) EndExchange(out.closes[closed]);
    const ForwarderOutput::Send send = std::move(out.sends[sent]);
    if (!SendTo(send)) forwarder_.OnFailure(send.exchange, Now(), out);
  }
  for (; closed < out.closes.size(); ++closed) EndExchange(out.closes[closed]);
  if (!closing_) SetTimer();
  // Last, as whoever gets an answer may ask the next question at once.
  for (ForwarderOutput::Delivery& delivery : out.deliveries) {
    for (const Done& waiter : delivery.waiters) waiter(delivery.answer);
  }
}

bool UvResolver::SendTo(const ForwarderOutput::Send& send) {
  if (send.upstream.tls) return SendByTls(send);
  if (send.transport == Transport::kTcp) return SendByTcp(send);
  return ports_.Send(send.exchange, send.upstream.address, send.message);
}

bool UvResolver::SendByTcp(const ForwarderOutput::Send& send) {
  if (tcp_sockets_ >= kTcpSocketsMax) {
    tcp_refused_.Add();
    return false;
  }
  ++handles_;  // Even one that fails to open goes through OnClosed.
  UpstreamSocket::Owned socket =
      UpstreamSocket::Open(loop_, *this, send.exchange, send.upstream.address, send.message);
  if (socket == nullptr) return false;
  ++tcp_sockets_;
  connections_.insert_or_assign(send.exchange, Entry{.socket = std::move(socket)});
  return true;
}

bool UvResolver::SendByTls(const ForwarderOutput::Send& send) {
  std::unique_ptr<DotConnection>& dot = dot_[send.upstream];
  if (dot == nullptr) {
    UpstreamSocketOwner& owner = *this;
    dot = std::make_unique<DotConnection>(loop_, tls_, owner, dot_counters_, send.upstream);
  }
  if (!dot->Send(send.exchange, send.message)) return false;
  connections_.insert_or_assign(send.exchange, Entry{.socket = nullptr, .dot = dot.get()});
  return true;
}

void UvResolver::EndExchange(uint64_t exchange) {
  const auto at = connections_.find(exchange);
  if (at == connections_.end()) return ports_.Cancel(exchange);
  DotConnection* const dot = at->second.dot;
  if (dot == nullptr) --tcp_sockets_;
  connections_.erase(at);
  if (dot != nullptr) dot->Cancel(exchange);
}

void UvResolver::SetTimer() {
  const absl::Time deadline = forwarder_.NextDeadline();
  if (deadline == timer_deadline_) return;
  timer_deadline_ = deadline;
  if (deadline == absl::InfiniteFuture()) {
    uv_timer_stop(&timer_);
    return;
  }
  // libuv counts whole milliseconds from the start of the loop's turn; early is of no use.
  uv_update_time(loop_);
  const int64_t wait_ms = std::max<int64_t>(absl::ToInt64Milliseconds(deadline - Now()) + 1, 1);
  uv_timer_start(
      &timer_, [](uv_timer_t* timer) { static_cast<UvResolver*>(timer->data)->OnTimer(); },
      static_cast<uint64_t>(wait_ms), 0);
}

void UvResolver::OnTimer() {
  timer_deadline_ = absl::InfiniteFuture();  // It has to be set anew, even for the same deadline.
  ForwarderOutput out;
  forwarder_.OnTime(Now(), out);
  Perform(out);
}

void UvResolver::Close(std::function<void()> closed) {
  CHECK(!closing_);
  closing_ = true;
  closed_ = std::move(closed);
  ForwarderOutput out;
  forwarder_.Abandon(out);
  Perform(out);
  dot_.clear();
  ports_.Close();
  uv_close(reinterpret_cast<uv_handle_t*>(&timer_),
           [](uv_handle_t* handle) { static_cast<UvResolver*>(handle->data)->OnClosed(); });
}

void UvResolver::OnClosed() {
  if (--handles_ > 0 || !closing_) return;
  // The callback may destroy this.
  const std::function<void()> closed = std::move(closed_);
  closed();
}

}  // namespace pharos::dns
