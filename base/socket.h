// Listening sockets, of which several threads may share one address.
#pragma once

#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/ip_address.h"

namespace pharos {

enum class Transport : uint8_t { kUdp, kTcp };

// A file descriptor that closes itself.
class Socket {
 public:
  explicit Socket(int fd = -1) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Socket();
  int fd() const { return fd_; }
  // Gives the descriptor away.
  int Release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

// A socket bound to `address`, non-blocking; for TCP not yet listening. `shared`: several threads
// bind the same address and the kernel spreads queries over them (SO_REUSEPORT). IPv6 sockets take
// IPv6 only. The error reads `cannot listen on udp 127.0.0.1:53: permission denied`.
absl::StatusOr<Socket> OpenListeningSocket(Transport transport, const SocketAddress& address,
                                           bool shared);

// The address a socket is bound to, with the port the kernel chose.
SocketAddress BoundAddress(const Socket& socket);

// Fails as OpenListeningSocket does when anybody else, even of the same user with a shared socket,
// has the address already.
absl::Status CheckAddressIsFree(Transport transport, const SocketAddress& address);

}  // namespace pharos
