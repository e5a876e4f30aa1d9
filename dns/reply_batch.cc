#include "dns/reply_batch.h"

#include <netinet/in.h>
#include <netinet/udp.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "dns/types.h"

namespace pharos::dns {
namespace {

constexpr size_t kArenaOctets = 4 * kUdpPayloadOctetsMax;
// Slots of the table that finds messages to the same client.
constexpr size_t kClientSlots = 128;

// Spreads clients; equal ones agree.
size_t SlotOf(const ReplyTarget& target, size_t octets) {
  uint64_t key = octets * 0x9e3779b97f4a7c15;
  if (target.to->ss_family == AF_INET) {
    const auto& to = reinterpret_cast<const sockaddr_in&>(*target.to);
    key ^= (uint64_t{to.sin_addr.s_addr} << 16) | to.sin_port;
  } else {
    const auto& to = reinterpret_cast<const sockaddr_in6&>(*target.to);
    uint64_t words[2];
    std::memcpy(words, &to.sin6_addr, sizeof words);
    key ^= words[0] ^ (words[1] << 16) ^ to.sin6_port;
  }
  return (key * 0x9e3779b97f4a7c15) >> 57;
}
static_assert(kClientSlots == 1 << (64 - 57));

bool SameClient(const ReplyTarget& a, const ReplyTarget& b) {
  if (a.to->ss_family != b.to->ss_family) return false;
  if (a.to->ss_family == AF_INET) {
    const auto& x = reinterpret_cast<const sockaddr_in&>(*a.to);
    const auto& y = reinterpret_cast<const sockaddr_in&>(*b.to);
    if (x.sin_port != y.sin_port || x.sin_addr.s_addr != y.sin_addr.s_addr) return false;
  } else {
    const auto& x = reinterpret_cast<const sockaddr_in6&>(*a.to);
    const auto& y = reinterpret_cast<const sockaddr_in6&>(*b.to);
    if (x.sin6_port != y.sin6_port || x.sin6_scope_id != y.sin6_scope_id ||
        std::memcmp(&x.sin6_addr, &y.sin6_addr, sizeof x.sin6_addr) != 0) {
      return false;
    }
  }
  return std::ranges::equal(a.local, b.local);
}

// Adds a control message that says how large the segments are; returns its end.
size_t WriteSegmentSize(size_t octets, size_t at, ControlData& control) {
  auto* c = reinterpret_cast<cmsghdr*>(&control.octets[at]);
  const auto size = static_cast<uint16_t>(octets);
  std::memset(c, 0, CMSG_SPACE(sizeof size));
  c->cmsg_level = SOL_UDP;
  c->cmsg_type = UDP_SEGMENT;
  c->cmsg_len = CMSG_LEN(sizeof size);
  std::memcpy(CMSG_DATA(c), &size, sizeof size);
  return at + CMSG_SPACE(sizeof size);
}

// An older kernel does not know the option, and would send one long datagram.
bool KernelCutsMessages(int fd) {
  int size = 0;
  socklen_t size_octets = sizeof size;
  return getsockopt(fd, SOL_UDP, UDP_SEGMENT, &size, &size_octets) == 0;
}

}  // namespace

ReplyBatch::ReplyBatch(int fd, SendCounters& counters)
    : fd_(fd), counters_(counters), segments_(KernelCutsMessages(fd)), arena_(kArenaOctets) {}

MutableOctets ReplyBatch::Room() {
  if (count_ == kMax || arena_.size() - arena_used_ < kUdpPayloadOctetsMax) Flush();
  return MutableOctets(arena_).subspan(arena_used_, kUdpPayloadOctetsMax);
}

void ReplyBatch::Add(const ReplyTarget& target, size_t octets) {
  replies_[count_++] = {
      .target = target, .vector = {&arena_[arena_used_], octets}, .previous = kNone};
  arena_used_ += octets;
}

bool ReplyBatch::MayJoin(const Reply& reply, const Message& message) const {
  const Reply& first = replies_[message.first];
  return first.vector.iov_len == reply.vector.iov_len && SameClient(first.target, reply.target) &&
         (message.count + size_t{1}) * reply.vector.iov_len <= kUdpPayloadOctetsMax;
}

void ReplyBatch::Merge() {
  std::array<uint8_t, kClientSlots> table;
  if (segments_) table.fill(kNone);
  message_count_ = 0;
  for (size_t i = 0; i < count_; ++i) {
    Reply& reply = replies_[i];
    const auto number = static_cast<uint8_t>(i);
    const size_t octets = reply.vector.iov_len;
    uint8_t* known = nullptr;
    if (segments_ && octets <= kSegmentOctetsMax) {
      // Two clients in one slot keep each other from being merged, which costs time and no more.
      known = &table[SlotOf(reply.target, octets)];
      if (*known != kNone && MayJoin(reply, messages_[*known])) {
        Message& message = messages_[*known];
        reply.previous = message.last;
        message.last = number;
        ++message.count;
        continue;
      }
      *known = static_cast<uint8_t>(message_count_);
    }
    messages_[message_count_++] = {.first = number, .last = number, .count = 1};
  }
}

// Pieces of a message that lie one behind the other in the arena, as those to one client often do,
// are one piece for the kernel.
void ReplyBatch::Prepare() {
  size_t vector = 0;
  for (size_t i = 0; i < message_count_; ++i) {
    const Message& message = messages_[i];
    const Reply& first = replies_[message.first];
    msghdr& header = headers_[i].msg_hdr;
    header = {};
    header.msg_name = const_cast<sockaddr_storage*>(first.target.to);
    header.msg_namelen = first.target.to_octets;
    vector += message.count;
    const iovec* const end = &vectors_[vector];
    iovec* at = &vectors_[vector - 1];
    *at = replies_[message.last].vector;
    for (uint8_t reply = replies_[message.last].previous; reply != kNone;
         reply = replies_[reply].previous) {
      const iovec& before = replies_[reply].vector;
      if (static_cast<uint8_t*>(before.iov_base) + before.iov_len == at->iov_base) {
        *at = {before.iov_base, before.iov_len + at->iov_len};
      } else {
        *--at = before;
      }
    }
    header.msg_iov = at;
    header.msg_iovlen = static_cast<size_t>(end - at);
    size_t control_octets = first.target.local.size();
    if (control_octets == 0 && message.count == 1) continue;
    if (control_octets > 0) {
      std::memcpy(controls_[i].octets.data(), first.target.local.data(), control_octets);
    }
    if (message.count > 1) {
      control_octets = WriteSegmentSize(first.vector.iov_len, control_octets, controls_[i]);
    }
    header.msg_control = controls_[i].octets.data();
    header.msg_controllen = control_octets;
  }
}

// What the kernel does not take is dropped, as the network would: a client asks again, and a queue
// here would only make every answer late.
void ReplyBatch::Send() {
  size_t at = 0;
  while (at < message_count_) {
    const int sent =
        sendmmsg(fd_, &headers_[at], static_cast<unsigned>(message_count_ - at), MSG_DONTWAIT);
    if (sent > 0) {
      for (const size_t end = at + static_cast<size_t>(sent); at < end; ++at) {
        const uint64_t count = messages_[at].count;
        counters_.sent.Add(count);
        if (count > 1) counters_.merged.Add(count);
      }
    } else if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) {
      for (; at < message_count_; ++at) counters_.send_failed.Add(messages_[at].count);
    } else if (errno != EINTR) {
      // The first one cannot be sent (an unreachable client, a device that cannot cut it, a path
      // with a small MTU); the others may.
      const Message& message = messages_[at++];
      if (message.count > 1) {
        if (errno == EIO || errno == EOPNOTSUPP) segments_ = false;
        SendApart(message);
      } else {
        counters_.send_failed.Add();
      }
    }
  }
}

void ReplyBatch::SendApart(const Message& message) {
  for (uint8_t number = message.last; number != kNone; number = replies_[number].previous) {
    Reply& reply = replies_[number];
    msghdr header{};
    header.msg_name = const_cast<sockaddr_storage*>(reply.target.to);
    header.msg_namelen = reply.target.to_octets;
    header.msg_iov = &reply.vector;
    header.msg_iovlen = 1;
    header.msg_control = const_cast<uint8_t*>(reply.target.local.data());
    header.msg_controllen = reply.target.local.size();
    const bool sent = sendmsg(fd_, &header, MSG_DONTWAIT) >= 0;
    (sent ? counters_.sent : counters_.send_failed).Add();
  }
}

void ReplyBatch::Flush() {
  Merge();
  Prepare();
  Send();
  count_ = 0;
  arena_used_ = 0;
}

}  // namespace pharos::dns
