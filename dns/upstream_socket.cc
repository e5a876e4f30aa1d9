#include "dns/upstream_socket.h"

#include <algorithm>

#include "base/check.h"
#include "dns/types.h"

namespace pharos::dns {
namespace {

constexpr size_t kLengthOctets = 2;

uv_buf_t AsBuffer(MutableOctets octets) {
  return uv_buf_init(reinterpret_cast<char*>(octets.data()),
                     static_cast<unsigned int>(octets.size()));
}

}  // namespace

UpstreamSocket::UpstreamSocket(uv_loop_t* loop, UpstreamSocketOwner& owner, uint64_t exchange,
                               const SocketAddress& upstream, Octets message)
    : owner_(owner),
      exchange_(exchange),
      upstream_(upstream),
      // Length and message in one write: some servers expect both in one segment (RFC 7766 section
      // 8).
      outgoing_(kLengthOctets + message.size()) {
  CHECK(uv_tcp_init(loop, &tcp_) == 0);  // Fails only for flags that we do not give.
  tcp_.data = this;
  StoreU16(outgoing_.data(), static_cast<uint16_t>(message.size()));
  std::ranges::copy(message, outgoing_.begin() + kLengthOctets);
}

UpstreamSocket::Owned UpstreamSocket::Open(uv_loop_t* loop, UpstreamSocketOwner& owner,
                                           uint64_t exchange, const SocketAddress& upstream,
                                           Octets message) {
  Owned socket(new UpstreamSocket(loop, owner, exchange, upstream, message));
  if (!socket->Connect()) socket.reset();
  return socket;
}

bool UpstreamSocket::Connect() {
  sockaddr_storage storage;
  upstream_.ToSockaddr(storage);
  const auto on_connected = [](uv_connect_t* connect, int status) {
    static_cast<UpstreamSocket*>(connect->handle->data)->OnConnected(status);
  };
  return uv_tcp_connect(&connect_, &tcp_, reinterpret_cast<const sockaddr*>(&storage),
                        on_connected) == 0;
}

void UpstreamSocket::OnConnected(int status) {
  if (status == UV_ECANCELED) return;  // We are closing it.
  auto* const stream = reinterpret_cast<uv_stream_t*>(&tcp_);
  const uv_buf_t buffer = AsBuffer(outgoing_);
  const auto on_written = [](uv_write_t* write, int written) {
    auto* self = static_cast<UpstreamSocket*>(write->handle->data);
    if (written != 0 && written != UV_ECANCELED) self->owner_.OnError(self->exchange_);
  };
  const auto on_allocate = [](uv_handle_t* handle, size_t /*suggested*/, uv_buf_t* room) {
    *room = AsBuffer(static_cast<UpstreamSocket*>(handle->data)->owner_.ReadBuffer());
  };
  const auto on_read = [](uv_stream_t* readable, ssize_t octets, const uv_buf_t* read) {
    static_cast<UpstreamSocket*>(readable->data)->OnRead(octets, read);
  };
  if (status != 0 || uv_write(&write_, stream, &buffer, 1, on_written) != 0 ||
      uv_read_start(stream, on_allocate, on_read) != 0) {
    owner_.OnError(exchange_);
  }
}

void UpstreamSocket::OnRead(ssize_t octets, const uv_buf_t* buffer) {
  if (octets < 0) return owner_.OnError(exchange_);
  Take(Octets(reinterpret_cast<const uint8_t*>(buffer->base), static_cast<size_t>(octets)));
}

void UpstreamSocket::Take(Octets piece) {
  incoming_.insert(incoming_.end(), piece.begin(), piece.end());
  if (incoming_.size() < kLengthOctets) return;
  const size_t message_octets = LoadU16(incoming_.data());
  if (incoming_.size() < kLengthOctets + message_octets) return;
  uv_read_stop(reinterpret_cast<uv_stream_t*>(&tcp_));
  owner_.OnMessage(exchange_, upstream_,
                   MutableOctets(incoming_).subspan(kLengthOctets, message_octets));
}

void UpstreamSocket::BeginClose() {
  uv_close(reinterpret_cast<uv_handle_t*>(&tcp_), [](uv_handle_t* closed) {
    auto* self = static_cast<UpstreamSocket*>(closed->data);
    UpstreamSocketOwner& owner = self->owner_;
    delete self;
    owner.OnClosed();
  });
}

}  // namespace pharos::dns
