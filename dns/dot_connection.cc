#include "dns/dot_connection.h"

#include <utility>

#include "absl/time/clock.h"
#include "base/log.h"
#include "dns/types.h"

namespace pharos::dns {
namespace {

constexpr size_t kLengthOctets = 2;
constexpr absl::Duration kLogInterval = absl::Minutes(1);

struct WriteRequest {
  uv_write_t request;
  std::string octets;
};

}  // namespace

// What libuv needs until the handle is closed; `owner` is null from the time it is of no use.
struct DotConnection::Link {
  uv_tcp_t tcp;
  uv_connect_t connect;
  DotConnection* owner = nullptr;

  uv_stream_t* stream() { return reinterpret_cast<uv_stream_t*>(&tcp); }
  static Link* Of(const uv_stream_t* stream) { return static_cast<Link*>(stream->data); }
};

DotConnection::DotConnection(uv_loop_t* loop, TlsClient& tls, UpstreamSocketOwner& owner,
                             DotCounters& counters, Upstream upstream)
    : loop_(loop),
      tls_(tls),
      owner_(owner),
      counters_(counters),
      upstream_(std::move(upstream)),
      timer_(loop) {}

DotConnection::~DotConnection() { Drop(); }

bool DotConnection::Send(uint64_t exchange, Octets message) {
  if (message.size() < kHeaderOctets || pending_.size() >= kPendingMax) return false;
  if (link_ == nullptr && !Connect()) return false;
  // Nobody off the way can answer, so ids need not be hard to guess; counting up keeps a late reply
  // from being taken for another's.
  while (pending_.contains(next_id_)) ++next_id_;
  const uint16_t id = next_id_++;
  Pending& pending = pending_[id];
  pending = {.exchange = exchange,
             .id = LoadU16(message.data()),
             .message = {message.begin(), message.end()},
             .since_ms = uv_now(loop_)};
  StoreU16(pending.message.data(), id);
  if (session_ == nullptr || !session_->connected()) return true;
  timer_.Cancel();
  SendQuery(pending);
  Flush();
  return true;
}

void DotConnection::Cancel(uint64_t exchange) {
  for (auto at = pending_.begin(); at != pending_.end(); ++at) {
    if (at->second.exchange != exchange) continue;
    const uint64_t since_ms = at->second.since_ms;
    pending_.erase(at);
    if (session_ == nullptr || !session_->connected()) return;
    const bool silent =
        received_at_ms_ < since_ms && absl::Milliseconds(uv_now(loop_) - since_ms) >= kSilenceMax;
    if (silent) {
      Drop();
      // Not from within this call: whoever makes it is busy with its own state.
      if (!pending_.empty() && !Connect()) timer_.Once(absl::ZeroDuration(), [this] { FailAll(); });
    } else if (pending_.empty()) {
      BecomeIdle();
    }
    return;
  }
}

bool DotConnection::Connect() {
  absl::StatusOr<std::unique_ptr<TlsSession>> session =
      tls_.NewSession({.server_name = upstream_.tls_name.empty() ? upstream_.address.ip.ToString()
                                                                 : upstream_.tls_name});
  if (!session.ok()) return false;
  session_ = *std::move(session);
  plain_.clear();
  link_ = new Link;
  link_->owner = this;
  uv_tcp_init(loop_, &link_->tcp);
  link_->tcp.data = link_;
  uv_tcp_nodelay(&link_->tcp, 1);
  counters_.connections.Add();
  counters_.open.Set(counters_.open.value() + 1);
  sockaddr_storage storage;
  upstream_.address.ToSockaddr(storage);
  const int error =
      uv_tcp_connect(&link_->connect, &link_->tcp, reinterpret_cast<const sockaddr*>(&storage),
                     [](uv_connect_t* connect, int status) {
                       DotConnection* owner = Link::Of(connect->handle)->owner;
                       if (owner != nullptr) owner->OnConnected(status);
                     });
  if (error != 0) {
    counters_.failures.Add();
    Drop();
    return false;
  }
  timer_.Once(kConnectPatience, [this] { Break("no connection in time"); });
  return true;
}

void DotConnection::OnConnected(int status) {
  if (status != 0) return Break(uv_strerror(status));
  const int error = uv_read_start(
      link_->stream(),
      [](uv_handle_t* handle, size_t /*suggested*/, uv_buf_t* buffer) {
        DotConnection* owner = static_cast<Link*>(handle->data)->owner;
        const MutableOctets room = owner->owner_.ReadBuffer();
        *buffer =
            uv_buf_init(reinterpret_cast<char*>(room.data()), static_cast<unsigned>(room.size()));
      },
      [](uv_stream_t* stream, ssize_t octets, const uv_buf_t* buffer) {
        DotConnection* owner = Link::Of(stream)->owner;
        if (owner != nullptr) owner->OnRead(octets, buffer);
      });
  if (error != 0) return Break(uv_strerror(error));
  TakeWire({});  // Begins the handshake.
}

void DotConnection::OnRead(ssize_t octets, const uv_buf_t* buffer) {
  if (octets == 0) return;
  if (octets < 0) {
    return Break(octets == UV_EOF ? "closed by the peer" : uv_strerror(static_cast<int>(octets)));
  }
  received_at_ms_ = uv_now(loop_);
  TakeWire({reinterpret_cast<const uint8_t*>(buffer->base), static_cast<size_t>(octets)});
}

void DotConnection::TakeWire(Octets wire) {
  const Link* const link = link_;
  const bool connected_before = session_->connected();
  const absl::Status taken = session_->Receive(wire, plain_);
  Flush();
  if (session_->connected() && !connected_before) {
    timer_.Cancel();
    SendPending();
    if (pending_.empty()) BecomeIdle();
  }
  TakeMessages();
  if (!taken.ok() && link_ == link) Break(std::string(taken.message()));
}

void DotConnection::SendPending() {
  for (const auto& [id, pending] : pending_) SendQuery(pending);
  Flush();
}

void DotConnection::SendQuery(const Pending& pending) {
  // Length and message at once, so that they are in one record (RFC 7766 section 8).
  std::string framed = {static_cast<char>(pending.message.size() >> 8),
                        static_cast<char>(pending.message.size())};
  framed.append(AsText(pending.message));
  // An error shows when the connection is next read from.
  static_cast<void>(session_->Send(framed));
}

void DotConnection::Flush() {
  std::string output = session_->TakeOutput();
  if (output.empty()) return;
  auto* write = new WriteRequest{.request = {}, .octets = std::move(output)};
  write->request.data = write;
  const uv_buf_t buffer =
      uv_buf_init(write->octets.data(), static_cast<unsigned>(write->octets.size()));
  // A write that fails is followed by a read that does.
  const int error = uv_write(&write->request, link_->stream(), &buffer, 1,
                             [](uv_write_t* request, int /*status*/) {
                               delete static_cast<WriteRequest*>(request->data);
                             });
  if (error != 0) delete write;
}

void DotConnection::TakeMessages() {
  const Link* const link = link_;
  while (link_ == link && link_ != nullptr && plain_.size() >= kLengthOctets) {
    const size_t octets = LoadU16(reinterpret_cast<const uint8_t*>(plain_.data()));
    if (plain_.size() < kLengthOctets + octets) return;
    const std::string_view view = std::string_view(plain_).substr(kLengthOctets, octets);
    std::vector<uint8_t> message(view.begin(), view.end());
    plain_.erase(0, kLengthOctets + octets);
    if (message.size() < kHeaderOctets) continue;
    const auto at = pending_.find(LoadU16(message.data()));
    if (at == pending_.end()) continue;  // Nobody waits for it any more.
    useless_ = 0;
    const uint64_t exchange = at->second.exchange;
    StoreU16(message.data(), at->second.id);
    pending_.erase(at);
    if (pending_.empty()) BecomeIdle();
    owner_.OnMessage(exchange, upstream_.address, message);
  }
}

void DotConnection::BecomeIdle() {
  timer_.Once(kIdleMax, [this] {
    if (pending_.empty()) Drop();
  });
}

void DotConnection::Break(const std::string& why) {
  const bool was_good = session_ != nullptr && session_->connected();
  Drop();
  if (pending_.empty()) return;  // The usual end of a connection that idled.
  // A server may close at any time, after so many queries for one (RFC 7766 section 6.2.4).
  if (was_good && ++useless_ < kUselessMax && Connect()) return;
  useless_ = 0;
  counters_.failures.Add();
  if (absl::Now() >= logged_ + kLogInterval) {
    logged_ = absl::Now();
    PHAROS_LOG(kWarn, "agent.dns", "No DNS over TLS: address=%s error=\"%s\"", upstream_.ToString(),
               why);
  }
  FailAll();
}

void DotConnection::FailAll() {
  std::vector<uint64_t> exchanges;
  exchanges.reserve(pending_.size());
  for (const auto& [id, pending] : pending_) exchanges.push_back(pending.exchange);
  pending_.clear();
  for (const uint64_t exchange : exchanges) owner_.OnError(exchange);
}

void DotConnection::Drop() {
  timer_.Cancel();
  session_.reset();
  if (link_ == nullptr) return;
  counters_.open.Set(counters_.open.value() - 1);
  link_->owner = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&link_->tcp),
           [](uv_handle_t* handle) { delete static_cast<Link*>(handle->data); });
  link_ = nullptr;
}

}  // namespace pharos::dns
