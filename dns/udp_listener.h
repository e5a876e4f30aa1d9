// Queries over UDP for one thread: a socket of its own under the thread's loop, read and written in
// batches by recvmmsg and sendmmsg, which is what the kernel does cheapest.
#pragma once

#include <sys/socket.h>
#include <uv.h>

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "base/counter.h"
#include "base/ip_address.h"
#include "base/socket.h"
#include "dns/backlog.h"
#include "dns/listener.h"
#include "dns/reply_batch.h"

namespace pharos::dns {

// One thread writes, any thread reads.
struct UdpCounters {
  Counter received;
  Counter too_short;  // Without a whole header: dropped unread.
  SendCounters replies;
  Counter batches;
  Counter shed;  // Waited too long before they were taken: dropped unread.
  // Never came to us, as the socket's queue was full. Written by who reads the counters.
  Counter kernel_dropped;
};

class UdpListener : public Listener {
 public:
  static constexpr size_t kBatch = ReplyBatch::kMax;
  // Batches in one turn of the loop, so that TCP and timers get theirs under full load.
  static constexpr int kBatchesPerTurn = 8;
  // After so many queries it is likely that more have come meanwhile, and to look for them at once
  // is cheaper than to ask the loop.
  static constexpr int kBusyMin = 4;
  // A larger datagram is no query anybody means; it is cut, and then malformed.
  static constexpr size_t kRequestOctetsMax = 4096;

  // Takes a bound socket. On the loop's thread, as everything else here; `handler` is borrowed.
  UdpListener(uv_loop_t* loop, Socket socket, QueryHandler& handler);
  // Reading has ended when Close returns; libuv lets go of the handle in a later turn of the loop.
  ~UdpListener() override;

  void Send(const ReplyPath& path, Octets message) override;
  SocketAddress LocalAddress() const override { return bound_; }
  const UdpCounters& counters() const { return counters_; }
  // From any one thread: brings kernel_dropped up to date.
  void ReadKernelDrops();

 private:
  struct Request {
    std::array<uint8_t, kRequestOctetsMax> octets;
    sockaddr_storage from;
    ControlData control;
    iovec vector;
  };
  void OnReadable();
  // What the kernel counts of the socket's memory (SK_MEMINFO_...); 0 where it does not say.
  uint32_t ReadMemory(int index) const;
  // Whether datagrams come with the time of their arrival from now on.
  void StampArrivals(bool on);
  // Makes the `i`-th header ready for the next datagram.
  void PrepareToReceive(size_t i);
  int ReceiveBatch();
  void HandleBatch(int count);
  ReplyPath PathOf(const Request& request, const msghdr& header);
  void SendAtOnce(const ReplyPath& path, Octets message);

  // Where a reply goes that was not ready when its query was handled.
  struct Late {
    sockaddr_storage to;
    ControlData control;
  };

  uv_poll_t* poll_;
  // Runs before the loop next waits, while there are late replies in the batch.
  uv_prepare_t* before_wait_;
  Socket socket_;
  QueryHandler& handler_;
  const SocketAddress bound_;
  const bool wildcard_;
  Backlog backlog_;
  bool stamping_ = false;
  uint64_t turn_began_ms_ = 0;  // By the loop's clock.
  std::vector<Request> requests_;
  std::array<mmsghdr, kBatch> received_{};
  size_t used_ = kBatch;  // Headers of received_ that the kernel wrote into.
  UdpCounters counters_;
  ReplyBatch replies_;
  bool handling_ = false;  // The batch is that of queries being handled.
  std::vector<Late> late_;
  size_t late_next_ = 0;
};

}  // namespace pharos::dns
