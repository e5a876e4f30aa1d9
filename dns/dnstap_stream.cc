#include "dns/dnstap_stream.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <system_error>
#include <vector>

#include "base/log.h"

namespace pharos::dns {

void DnstapStream::Complain(const char* doing, int error) {
  if (std::exchange(told_, true)) return;
  PHAROS_LOG(kWarn, "agent.dns",
             "dnstap: cannot %s the collector, will try again: socket=%s error=%s", doing, path_,
             std::generic_category().message(error));
}

bool DnstapStream::Open() {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path_.size() >= sizeof address.sun_path) {
    Complain("connect to", ENAMETOOLONG);
    return false;
  }
  std::memcpy(address.sun_path, path_.data(), path_.size());
  socket_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval patience{.tv_sec = kPatienceSeconds, .tv_usec = 0};
  const bool open =
      socket_ >= 0 &&
      setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) == 0 &&
      setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0 &&
      connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  if (!open) {
    Complain("connect to", errno);
    Close();
    return false;
  }
  connected_.store(true, std::memory_order_relaxed);
  return true;
}

bool DnstapStream::Close() {
  connected_.store(false, std::memory_order_relaxed);
  if (socket_ < 0) return true;
  return close(std::exchange(socket_, -1)) == 0;
}

bool DnstapStream::Read(uint8_t* target, size_t octets) {
  while (octets > 0) {
    const ssize_t got = recv(socket_, target, octets, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      Complain("hear from", got == 0 ? ECONNRESET : errno);
      return false;
    }
    target += got;
    octets -= static_cast<size_t>(got);
  }
  return true;
}

bool DnstapStream::Write(const iovec* pieces, size_t count) {
  std::vector<iovec> left(pieces, pieces + count);
  size_t at = 0;
  while (at < left.size()) {
    msghdr message{};
    message.msg_iov = &left[at];
    message.msg_iovlen = std::min<size_t>(left.size() - at, IOV_MAX);
    const ssize_t put = sendmsg(socket_, &message, MSG_NOSIGNAL);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) {
      Complain("write to", errno);
      return false;
    }
    auto sent = static_cast<size_t>(put);
    for (; at < left.size() && sent >= left[at].iov_len; ++at) sent -= left[at].iov_len;
    if (at == left.size()) break;
    left[at].iov_base = static_cast<uint8_t*>(left[at].iov_base) + sent;
    left[at].iov_len -= sent;
  }
  // It takes what we say: whatever goes wrong next is news.
  if (std::exchange(told_, false)) {
    PHAROS_LOG(kInfo, "agent.dns", "dnstap: the collector can be reached again: socket=%s", path_);
  }
  return true;
}

}  // namespace pharos::dns
