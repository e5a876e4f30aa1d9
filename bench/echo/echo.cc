// The yardstick: a UDP server that does nothing but what the kernel makes it do. Receives and sends
// in batches of 64 by recvmmsg and sendmmsg under epoll, and turns each query into a reply by one
// bit.
//
//   echo PORT
//
// Serves 127.0.0.1 on one thread until it is killed; prints `ready` once it does.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace {

constexpr size_t kBatch = 64;
constexpr size_t kOctetsMax = 4096;
constexpr int kReceiveBufferOctets = 4 << 20;
constexpr size_t kHeaderOctets = 12;

struct Slot {
  std::array<uint8_t, kOctetsMax> octets;
  sockaddr_in from;
  iovec vector;
};

[[noreturn]] void Die(const char* doing) {
  std::perror(doing);
  std::exit(1);
}

int Listen(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  if (fd < 0) Die("socket");
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kReceiveBufferOctets, sizeof kReceiveBufferOctets);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) Die("bind");
  return fd;
}

void ServeReadable(int fd, std::vector<Slot>& slots, std::array<mmsghdr, kBatch>& messages) {
  while (true) {
    for (size_t i = 0; i < kBatch; ++i) {
      slots[i].vector = {slots[i].octets.data(), kOctetsMax};
      messages[i].msg_hdr = {};
      messages[i].msg_hdr.msg_name = &slots[i].from;
      messages[i].msg_hdr.msg_namelen = sizeof slots[i].from;
      messages[i].msg_hdr.msg_iov = &slots[i].vector;
      messages[i].msg_hdr.msg_iovlen = 1;
    }
    const int count = recvmmsg(fd, messages.data(), kBatch, MSG_DONTWAIT, nullptr);
    if (count <= 0) return;
    for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
      if (messages[i].msg_len >= kHeaderOctets) slots[i].octets[2] |= 0x80;
      slots[i].vector.iov_len = messages[i].msg_len;
    }
    sendmmsg(fd, messages.data(), static_cast<unsigned>(count), MSG_DONTWAIT);
    if (static_cast<size_t>(count) < kBatch) return;
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: echo PORT\n");
    return 2;
  }
  const int fd = Listen(static_cast<uint16_t>(std::atoi(argv[1])));
  const int poller = epoll_create1(0);
  epoll_event wanted{};
  wanted.events = EPOLLIN;
  if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &wanted) != 0) Die("epoll_ctl");
  std::vector<Slot> slots(kBatch);
  std::array<mmsghdr, kBatch> messages{};
  std::puts("ready");
  std::fflush(stdout);
  while (true) {
    epoll_event event;
    if (epoll_wait(poller, &event, 1, -1) == 1) ServeReadable(fd, slots, messages);
  }
}
