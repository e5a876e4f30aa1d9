// Replies on their way to the kernel: gathered while a batch is answered, sent by one sendmmsg.
// Those to one client that are of one size leave as one message, which the kernel cuts into
// datagrams (UDP_SEGMENT, Linux 4.18): it then goes once through its layers, not once for each.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/counter.h"
#include "base/octets.h"

namespace pharos::dns {

// One thread writes, any thread reads.
struct SendCounters {
  Counter sent;         // Datagrams.
  Counter send_failed;  // Dropped as the kernel took no more, or refused them.
  Counter merged;       // Of those sent, the ones that left in one message with others.
};

// Room for the pktinfo of either family with the size of segments, or with a time of arrival.
struct alignas(cmsghdr) ControlData {
  std::array<uint8_t, 128> octets;
};

// Where a datagram goes. Borrowed until Flush.
struct ReplyTarget {
  const sockaddr_storage* to;
  socklen_t to_octets;
  // What makes it leave from the address that was asked, as control data; empty: as the socket is
  // bound.
  Octets local;
};

class ReplyBatch {
 public:
  static constexpr size_t kMax = 64;
  // Larger replies leave by themselves: a segment must be within the path's MTU.
  static constexpr size_t kSegmentOctetsMax = 1232;

  // Borrows the socket, on whose thread all of this is called, and the counters.
  ReplyBatch(int fd, SendCounters& counters);

  // Room for the next reply. Flush is called first when the batch is full.
  MutableOctets Room();
  // The next reply is the first `octets` of Room().
  void Add(const ReplyTarget& target, size_t octets);
  void Flush();

 private:
  struct Reply {
    ReplyTarget target;
    iovec vector;
    uint8_t previous;  // The reply before it in its message; kNone: it is the first.
  };
  struct Message {
    uint8_t first, last;  // Replies.
    uint8_t count;
  };
  static constexpr uint8_t kNone = 0xff;

  // Sorts the replies into messages.
  void Merge();
  bool MayJoin(const Reply& reply, const Message& message) const;
  void Prepare();
  void Send();
  // Sends a message that the kernel does not want to cut, as single datagrams.
  void SendApart(const Message& message);

  const int fd_;
  SendCounters& counters_;
  bool segments_;  // Whether the kernel cuts messages.
  std::array<Reply, kMax> replies_;
  size_t count_ = 0;
  std::array<Message, kMax> messages_;
  size_t message_count_ = 0;
  std::array<mmsghdr, kMax> headers_{};
  std::array<iovec, kMax> vectors_{};
  std::array<ControlData, kMax> controls_;
  // Replies lie one behind the other, so that small ones share cache lines and pages.
  std::vector<uint8_t> arena_;
  size_t arena_used_ = 0;
};

}  // namespace pharos::dns
