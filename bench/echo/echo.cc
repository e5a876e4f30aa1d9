// The yardstick: a UDP server that does nothing but what the kernel makes it do. Receives and sends
// in batches of 64 by recvmmsg and sendmmsg under epoll, and turns each query into a reply by one
// bit.
//
//   echo PORT [merge]
//
// With `merge` replies of one size to one client leave as one message that the kernel cuts, by the
// agent's own ReplyBatch, and after a batch of some size the next is read at once, as the agent
// does: the least that can cost.
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
#include <cstring>
#include <vector>

#include "dns/reply_batch.h"
#include "dns/udp_listener.h"

namespace {

constexpr size_t kBatch = 64;
constexpr size_t kOctetsMax = 4096;
constexpr int kReceiveBufferOctets = 4 << 20;
constexpr size_t kHeaderOctets = 12;

struct Slot {
  std::array<uint8_t, kOctetsMax> octets;
  sockaddr_storage from;
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

void SendMerged(const std::vector<Slot>& slots, size_t count, pharos::dns::ReplyBatch& batch) {
  for (size_t i = 0; i < count; ++i) {
    const iovec& reply = slots[i].vector;
    std::memcpy(batch.Room().data(), reply.iov_base, reply.iov_len);
    batch.Add({&slots[i].from, sizeof(sockaddr_in), {}}, reply.iov_len);
  }
  batch.Flush();
}

// `batch` is null where each reply is sent by itself.
void ServeReadable(int fd, std::vector<Slot>& slots, std::array<mmsghdr, kBatch>& messages,
                   pharos::dns::ReplyBatch* batch) {
  const auto busy = batch == nullptr ? kBatch : size_t{pharos::dns::UdpListener::kBusyMin};
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
    if (batch == nullptr) {
      sendmmsg(fd, messages.data(), static_cast<unsigned>(count), MSG_DONTWAIT);
    } else {
      SendMerged(slots, static_cast<size_t>(count), *batch);
    }
    if (static_cast<size_t>(count) < busy) return;
  }
}

}  // namespace

int main(int argc, char** argv) {
  const bool merge = argc == 3 && std::strcmp(argv[2], "merge") == 0;
  if (argc != 2 && !merge) {
    std::fprintf(stderr, "usage: echo PORT [merge]\n");
    return 2;
  }
  const int fd = Listen(static_cast<uint16_t>(std::atoi(argv[1])));
  const int poller = epoll_create1(0);
  epoll_event wanted{};
  wanted.events = EPOLLIN;
  if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &wanted) != 0) Die("epoll_ctl");
  std::vector<Slot> slots(kBatch);
  std::array<mmsghdr, kBatch> messages{};
  pharos::dns::SendCounters counters;
  pharos::dns::ReplyBatch batch(fd, counters);
  std::puts("ready");
  std::fflush(stdout);
  while (true) {
    epoll_event event;
    if (epoll_wait(poller, &event, 1, -1) == 1)
      ServeReadable(fd, slots, messages, merge ? &batch : nullptr);
  }
}
