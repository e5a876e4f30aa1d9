#include "agent/checks/stream.h"

#include <utility>

#include "absl/strings/str_format.h"

namespace pharos::agent {
namespace {

struct PendingWrite {
  uv_write_t request;
  std::string octets;
};

}  // namespace

Stream::Stream(uv_loop_t* loop, TlsClient& tls, Events events)
    : loop_(loop), tls_client_(tls), events_(std::move(events)), resolver_(loop) {}

std::optional<std::string> Stream::Start(const Endpoint& endpoint, std::optional<TlsRequest> tls) {
  tls_request_ = std::move(tls);
  auto addresses = resolver_.Start(endpoint, [this](absl::StatusOr<SocketAddresses> found) {
    std::optional<std::string> why = TakeAddresses(std::move(found));
    if (why) Fail(*std::move(why));
  });
  return addresses ? TakeAddresses(*std::move(addresses)) : std::nullopt;
}

std::optional<std::string> Stream::TakeAddresses(absl::StatusOr<SocketAddresses> addresses) {
  if (!addresses.ok()) return std::string(addresses.status().message());
  addresses_ = *std::move(addresses);
  return ConnectToNext();
}

// Returns why none was left to try.
std::optional<std::string> Stream::ConnectToNext() {
  while (true) {
    const sockaddr_storage& address = addresses_[next_address_++];
    int error = tcp_.Open(this, [this](uv_tcp_t* tcp) { return uv_tcp_init(loop_, tcp); });
    if (error == 0) {
      auto* connect = new uv_connect_t;
      error = uv_tcp_connect(connect, tcp_.get(), reinterpret_cast<const sockaddr*>(&address),
                             [](uv_connect_t* request, int status) {
                               auto* self = static_cast<Stream*>(request->handle->data);
                               delete request;
                               if (self != nullptr) self->TakeConnect(status);
                             });
      if (error == 0) return std::nullopt;
      delete connect;
    }
    if (next_address_ == addresses_.size()) {
      return absl::StrFormat("dial tcp %s: connect: %s", SocketAddressText(address),
                             ErrorText(error));
    }
  }
}

void Stream::TakeConnect(int status) {
  if (status != 0) {
    std::optional<std::string> why =
        absl::StrFormat("dial tcp %s: connect: %s",
                        SocketAddressText(addresses_[next_address_ - 1]), ErrorText(status));
    if (next_address_ < addresses_.size()) why = ConnectToNext();
    if (why) Fail(*std::move(why));
    return;
  }
  uv_read_start(
      reinterpret_cast<uv_stream_t*>(tcp_.get()),
      [](uv_handle_t* handle, size_t, uv_buf_t* buffer) {
        auto* self = static_cast<Stream*>(handle->data);
        *buffer = uv_buf_init(self->buffer_.data(), self->buffer_.size());
      },
      [](uv_stream_t* stream, ssize_t count, const uv_buf_t*) {
        static_cast<Stream*>(stream->data)->TakeRead(count);
      });
  if (tls_request_) {
    BeginTls();
  } else {
    TellConnected();
  }
}

void Stream::BeginTls() {
  absl::StatusOr<std::unique_ptr<TlsSession>> session = tls_client_.NewSession(*tls_request_);
  if (!session.ok()) {
    Fail(std::string(session.status().message()));
    return;
  }
  tls_ = *std::move(session);
  TakeTls({});
}

void Stream::TakeRead(ssize_t count) {
  if (count == 0) return;
  if (count < 0) {
    Fail(count == UV_EOF ? "the peer closed the connection" : ErrorText(static_cast<int>(count)));
    return;
  }
  const std::string_view octets(buffer_.data(), static_cast<size_t>(count));
  if (tls_ != nullptr) {
    TakeTls(AsOctets(octets));
  } else {
    TellReceived(octets);
  }
}

void Stream::TakeTls(Octets wire) {
  std::string plain;
  const absl::Status taken = tls_->Receive(wire, plain);
  Write(tls_->TakeOutput());  // On failure the alert that says so.
  if (!taken.ok()) {
    Fail(std::string(taken.message()));
    return;
  }
  if (!tls_->connected()) return;
  if (!std::exchange(told_connected_, true)) {
    const std::weak_ptr<char> alive = alive_;
    TellConnected();
    if (alive.expired()) return;
  }
  if (!plain.empty()) TellReceived(plain);
}

void Stream::Send(std::string_view octets) {
  if (tls_ == nullptr) {
    Write(std::string(octets));
    return;
  }
  // A failure shows when reading, too.
  if (tls_->Send(octets).ok()) Write(tls_->TakeOutput());
}

void Stream::Write(std::string octets) {
  if (octets.empty()) return;
  auto* write = new PendingWrite{.request = {}, .octets = std::move(octets)};
  write->request.data = write;
  const uv_buf_t buffer =
      uv_buf_init(write->octets.data(), static_cast<unsigned>(write->octets.size()));
  const int error =
      uv_write(&write->request, reinterpret_cast<uv_stream_t*>(tcp_.get()), &buffer, 1,
               [](uv_write_t* request, int) { delete static_cast<PendingWrite*>(request->data); });
  if (error != 0) delete write;
}

// Each event is called as a copy, for it may destroy the stream and with it the original.
void Stream::TellConnected() {
  const auto connected = events_.connected;
  connected();
}

void Stream::TellReceived(std::string_view octets) {
  const auto received = events_.received;
  received(octets);
}

void Stream::Fail(std::string why) {
  tcp_.Close();
  const auto failed = std::move(events_.failed);
  failed(std::move(why));
}

}  // namespace pharos::agent
