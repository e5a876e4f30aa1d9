#include "cluster/gossip/stream_socket.h"

#include <utility>

#include "absl/strings/str_format.h"

namespace pharos::gossip {
namespace {

uv_handle_t* AsHandle(uv_tcp_t* tcp) { return reinterpret_cast<uv_handle_t*>(tcp); }
uv_stream_t* AsStream(uv_tcp_t* tcp) { return reinterpret_cast<uv_stream_t*>(tcp); }

absl::Status UvError(int error) { return absl::UnavailableError(uv_strerror(error)); }

}  // namespace

StreamSocket::StreamSocket(uv_loop_t* loop) : handle_(new Handle), timer_(loop) {
  uv_tcp_init(loop, &handle_->tcp);
  handle_->tcp.data = handle_;
  handle_->owner = this;
}

StreamSocket::~StreamSocket() {
  handle_->owner = nullptr;
  uv_close(AsHandle(&handle_->tcp),
           [](uv_handle_t* handle) { delete static_cast<Handle*>(handle->data); });
}

void StreamSocket::Fail(absl::Status status) {
  // A copy, as the callback may end this.
  const auto on_read_copy = on_read;
  on_read_copy(std::move(status));
}

absl::Status StreamSocket::Accept(uv_stream_t* listener) {
  const int error = uv_accept(listener, AsStream(&handle_->tcp));
  return error == 0 ? absl::OkStatus() : UvError(error);
}

SocketAddress StreamSocket::peer() const {
  sockaddr_storage storage{};
  int size = sizeof storage;
  uv_tcp_getpeername(&handle_->tcp, reinterpret_cast<sockaddr*>(&storage), &size);
  return SocketAddress::FromSockaddr(storage);
}

void StreamSocket::Connect(const SocketAddress& to, std::string octets) {
  to_send_ = std::move(octets);
  sockaddr_storage storage;
  to.ToSockaddr(storage);
  handle_->connect.data = handle_;
  const int error =
      uv_tcp_connect(&handle_->connect, &handle_->tcp, reinterpret_cast<const sockaddr*>(&storage),
                     [](uv_connect_t* request, int status) {
                       StreamSocket* const self = static_cast<Handle*>(request->data)->owner;
                       if (self == nullptr) return;
                       if (status != 0) return self->Fail(UvError(status));
                       self->Write(std::move(self->to_send_), [] {});
                       self->Read();
                     });
  if (error != 0) timer_.Once(absl::ZeroDuration(), [this, error] { Fail(UvError(error)); });
}

void StreamSocket::Read() {
  const int error = uv_read_start(
      AsStream(&handle_->tcp),
      [](uv_handle_t* handle, size_t, uv_buf_t* buffer) {
        auto* const own = static_cast<Handle*>(handle->data);
        *buffer = uv_buf_init(own->buffer, sizeof own->buffer);
      },
      [](uv_stream_t* stream, ssize_t count, const uv_buf_t* buffer) {
        StreamSocket* const self = static_cast<Handle*>(stream->data)->owner;
        if (self == nullptr || count == 0) return;
        if (count == UV_EOF) return self->Fail(absl::OutOfRangeError("closed by the other side"));
        if (count < 0) return self->Fail(UvError(static_cast<int>(count)));
        const auto on_read_copy = self->on_read;
        on_read_copy(AsOctets({buffer->base, static_cast<size_t>(count)}));
      });
  if (error != 0) timer_.Once(absl::ZeroDuration(), [this, error] { Fail(UvError(error)); });
}

void StreamSocket::Write(std::string octets, std::function<void()> done) {
  auto* const write = new WriteRequest{
      .request = {}, .octets = std::move(octets), .handle = handle_, .done = std::move(done)};
  write->request.data = write;
  const uv_buf_t buffer =
      uv_buf_init(write->octets.data(), static_cast<unsigned int>(write->octets.size()));
  const int error =
      uv_write(&write->request, AsStream(&handle_->tcp), &buffer, 1, [](uv_write_t* request, int) {
        const std::unique_ptr<WriteRequest> ended(static_cast<WriteRequest*>(request->data));
        if (ended->handle->owner != nullptr) ended->done();
      });
  if (error != 0) {
    const std::unique_ptr<WriteRequest> ended(write);
    timer_.Once(absl::ZeroDuration(), [this, error] { Fail(UvError(error)); });
  }
}

void StreamSocket::SetDeadline(absl::Duration after) {
  timer_.Once(after, [this] { Fail(absl::DeadlineExceededError("i/o timeout")); });
}

}  // namespace pharos::gossip
