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

SocketAddress FromSockaddr(const sockaddr* address) {
  sockaddr_storage storage{};
  std::memcpy(&storage, address,
              address->sa_family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in));
  return SocketAddress::FromSockaddr(storage);
}

class UdpSocket : public UpstreamSocket {
 public:
  UdpSocket(uv_loop_t* loop, UpstreamSocketOwner& owner, uint64_t exchange,
            const SocketAddress& upstream)
      : UpstreamSocket(owner, exchange, upstream) {
    CHECK(uv_udp_init(loop, &udp_) == 0);  // Fails only for flags that we do not give.
    udp_.data = this;
  }

  // Connected, so that the kernel picks a random port, takes replies from nobody else, and tells of
  // ICMP errors.
  bool Open() {
    sockaddr_storage storage;
    upstream_.ToSockaddr(storage);
    return uv_udp_connect(&udp_, reinterpret_cast<const sockaddr*>(&storage)) == 0 &&
           uv_udp_recv_start(&udp_, OnAllocate, OnReceive) == 0;
  }

  bool Send(Octets message) override {
    std::vector<uint8_t> copy(message.begin(), message.end());
    const uv_buf_t buffer = AsBuffer(copy);
    return uv_udp_try_send(&udp_, &buffer, 1, nullptr) == static_cast<int>(message.size());
  }

 private:
  uv_handle_t* handle() override { return reinterpret_cast<uv_handle_t*>(&udp_); }

  static void OnAllocate(uv_handle_t* handle, size_t /*suggested*/, uv_buf_t* buffer) {
    *buffer = AsBuffer(static_cast<UdpSocket*>(handle->data)->owner_.ReadBuffer());
  }

  static void OnReceive(uv_udp_t* udp, ssize_t octets, const uv_buf_t* buffer,
                        const sockaddr* source, unsigned int /*flags*/) {
    auto* self = static_cast<UdpSocket*>(udp->data);
    if (octets < 0) return self->owner_.OnError(self->exchange_);
    if (source == nullptr) return;  // There is nothing more to read for now.
    self->owner_.OnMessage(
        self->exchange_, FromSockaddr(source),
        MutableOctets(reinterpret_cast<uint8_t*>(buffer->base), static_cast<size_t>(octets)));
  }

  uv_udp_t udp_;
};

class TcpSocket : public UpstreamSocket {
 public:
  TcpSocket(uv_loop_t* loop, UpstreamSocketOwner& owner, uint64_t exchange,
            const SocketAddress& upstream)
      : UpstreamSocket(owner, exchange, upstream) {
    CHECK(uv_tcp_init(loop, &tcp_) == 0);  // As uv_udp_init.
    tcp_.data = this;
  }

  bool Open() {
    sockaddr_storage storage;
    upstream_.ToSockaddr(storage);
    return uv_tcp_connect(&connect_, &tcp_, reinterpret_cast<const sockaddr*>(&storage),
                          OnConnected) == 0;
  }

  bool Send(Octets message) override {
    // Length and message in one write: some servers expect both in one segment (RFC 7766 section
    // 8).
    outgoing_.resize(kLengthOctets + message.size());
    StoreU16(outgoing_.data(), static_cast<uint16_t>(message.size()));
    std::ranges::copy(message, outgoing_.begin() + kLengthOctets);
    return true;
  }

 private:
  uv_handle_t* handle() override { return reinterpret_cast<uv_handle_t*>(&tcp_); }

  static void OnConnected(uv_connect_t* connect, int status) {
    auto* self = static_cast<TcpSocket*>(connect->handle->data);
    if (status == UV_ECANCELED) return;  // We are closing it.
    const uv_buf_t buffer = AsBuffer(self->outgoing_);
    if (status != 0 || uv_write(&self->write_, connect->handle, &buffer, 1, OnWritten) != 0 ||
        uv_read_start(connect->handle, OnAllocate, OnRead) != 0) {
      self->owner_.OnError(self->exchange_);
    }
  }

  static void OnWritten(uv_write_t* write, int status) {
    auto* self = static_cast<TcpSocket*>(write->handle->data);
    if (status != 0 && status != UV_ECANCELED) self->owner_.OnError(self->exchange_);
  }

  static void OnAllocate(uv_handle_t* handle, size_t /*suggested*/, uv_buf_t* buffer) {
    *buffer = AsBuffer(static_cast<TcpSocket*>(handle->data)->owner_.ReadBuffer());
  }

  static void OnRead(uv_stream_t* stream, ssize_t octets, const uv_buf_t* buffer) {
    auto* self = static_cast<TcpSocket*>(stream->data);
    if (octets < 0) return self->owner_.OnError(self->exchange_);
    self->Take(Octets(reinterpret_cast<const uint8_t*>(buffer->base), static_cast<size_t>(octets)));
  }

  // Gathers pieces until the message is whole; what follows it was not asked for.
  void Take(Octets piece) {
    incoming_.insert(incoming_.end(), piece.begin(), piece.end());
    if (incoming_.size() < kLengthOctets) return;
    const size_t message_octets = LoadU16(incoming_.data());
    if (incoming_.size() < kLengthOctets + message_octets) return;
    uv_read_stop(reinterpret_cast<uv_stream_t*>(&tcp_));
    owner_.OnMessage(exchange_, upstream_,
                     MutableOctets(incoming_).subspan(kLengthOctets, message_octets));
  }

  uv_tcp_t tcp_;
  uv_connect_t connect_;
  uv_write_t write_;
  std::vector<uint8_t> outgoing_;
  std::vector<uint8_t> incoming_;  // At most a length, a message and one read.
};

template <typename Socket>
UpstreamSocket::Owned Open(uv_loop_t* loop, UpstreamSocketOwner& owner, uint64_t exchange,
                           const SocketAddress& upstream) {
  auto* socket = new Socket(loop, owner, exchange, upstream);
  const bool open = socket->Open();
  UpstreamSocket::Owned owned(socket);
  if (!open) owned.reset();
  return owned;
}

}  // namespace

UpstreamSocket::Owned UpstreamSocket::OpenUdp(uv_loop_t* loop, UpstreamSocketOwner& owner,
                                              uint64_t exchange, const SocketAddress& upstream) {
  return Open<UdpSocket>(loop, owner, exchange, upstream);
}

UpstreamSocket::Owned UpstreamSocket::OpenTcp(uv_loop_t* loop, UpstreamSocketOwner& owner,
                                              uint64_t exchange, const SocketAddress& upstream) {
  return Open<TcpSocket>(loop, owner, exchange, upstream);
}

void UpstreamSocket::BeginClose() {
  // The handle's data is the derived object, which is where this is: there is one base only.
  handle()->data = this;
  uv_close(handle(), [](uv_handle_t* closed) {
    auto* self = static_cast<UpstreamSocket*>(closed->data);
    UpstreamSocketOwner& owner = self->owner_;
    delete self;
    owner.OnClosed();
  });
}

}  // namespace pharos::dns
