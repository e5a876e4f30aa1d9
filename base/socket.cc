#include "base/socket.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"

namespace pharos {
namespace {

absl::Status ListenError(Transport transport, const SocketAddress& address, int error) {
  std::string reason = std::generic_category().message(error);
  if (!reason.empty()) reason[0] = absl::ascii_tolower(static_cast<unsigned char>(reason[0]));
  return absl::UnavailableError(absl::StrFormat("cannot listen on %s %s: %s",
                                                transport == Transport::kUdp ? "udp" : "tcp",
                                                address.ToString(), reason));
}

bool SetOption(int fd, int level, int option, int value) {
  return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

}  // namespace

Socket::~Socket() {
  if (fd_ >= 0) close(fd_);
}

absl::StatusOr<Socket> OpenListeningSocket(Transport transport, const SocketAddress& address,
                                           bool shared) {
  const int family = address.ip.is_v4() ? AF_INET : AF_INET6;
  const int type = transport == Transport::kUdp ? SOCK_DGRAM : SOCK_STREAM;
  Socket opened(socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  bool ok = opened.fd() >= 0;
  ok = ok && (family == AF_INET || SetOption(opened.fd(), IPPROTO_IPV6, IPV6_V6ONLY, 1));
  // For TCP, so that a restart does not wait for connections of the process before (TIME_WAIT). UDP
  // has no such state, and there the option would let others share the port.
  ok = ok && (transport == Transport::kUdp || SetOption(opened.fd(), SOL_SOCKET, SO_REUSEADDR, 1));
  ok = ok && (!shared || SetOption(opened.fd(), SOL_SOCKET, SO_REUSEPORT, 1));
  sockaddr_storage storage;
  const socklen_t size = address.ToSockaddr(storage);
  ok = ok && bind(opened.fd(), reinterpret_cast<const sockaddr*>(&storage), size) == 0;
  if (!ok) return ListenError(transport, address, errno);
  return opened;
}

SocketAddress BoundAddress(const Socket& socket) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  getsockname(socket.fd(), reinterpret_cast<sockaddr*>(&storage), &size);
  return SocketAddress::FromSockaddr(storage);
}

absl::Status CheckAddressIsFree(Transport transport, const SocketAddress& address) {
  ASSIGN_OR_RETURN(const Socket probe, OpenListeningSocket(transport, address, false));
  if (transport == Transport::kTcp && listen(probe.fd(), 1) != 0) {
    return ListenError(transport, address, errno);
  }
  return absl::OkStatus();
}

}  // namespace pharos
