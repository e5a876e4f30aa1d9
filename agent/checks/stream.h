// A TCP connection that we make, plain or under TLS.
#pragma once

#include <uv.h>

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "agent/checks/resolver.h"
#include "agent/checks/tls.h"
#include "agent/checks/uv_handle.h"

namespace pharos::agent {

// All calls are on the loop's thread. The stream may be destroyed within any of its events.
class Stream {
 public:
  struct Events {
    std::function<void()> connected;                 // Once; under TLS after the handshake.
    std::function<void(std::string_view)> received;  // What the peer said.
    std::function<void(std::string)> failed;         // Once, and last: why, or that it closed.
  };

  Stream(uv_loop_t* loop, TlsClient& tls, Events events);
  // Closes the connection.
  ~Stream() = default;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // Looks `endpoint` up and connects to the first of its addresses that takes us, then begins TLS
  // if `tls` asks. Returns why, if that fails at once; then there are no events. Once.
  std::optional<std::string> Start(const Endpoint& endpoint, std::optional<TlsRequest> tls);

  // Once connected.
  void Send(std::string_view octets);

 private:
  std::optional<std::string> TakeAddresses(absl::StatusOr<SocketAddresses> addresses);
  std::optional<std::string> ConnectToNext();
  void TakeConnect(int status);
  void BeginTls();
  void TakeRead(ssize_t count);
  void TakeTls(Octets wire);
  void Write(std::string octets);
  void TellConnected();
  void TellReceived(std::string_view octets);
  void Fail(std::string why);

  uv_loop_t* loop_;
  TlsClient& tls_client_;
  Events events_;
  Resolver resolver_;
  std::optional<TlsRequest> tls_request_;
  SocketAddresses addresses_;
  size_t next_address_ = 0;
  UvHandle<uv_tcp_t> tcp_;
  std::unique_ptr<TlsSession> tls_;
  bool told_connected_ = false;
  // Shared with nobody: weak pointers tell whether an event has destroyed the stream.
  std::shared_ptr<char> alive_ = std::make_shared<char>();
  std::array<char, 16384> buffer_;
};

}  // namespace pharos::agent
