// Queries over TCP for one thread (RFC 1035 section 4.2.2, RFC 7766): pipelined, answered in any
// order, with bounds on everything a client could make us hold.
#pragma once

#include <uv.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/counter.h"
#include "base/loop.h"
#include "base/socket.h"
#include "dns/listener.h"

namespace pharos::dns {

struct TcpLimits {
  // Without a whole message or an octet sent for so long, while no answer is being waited for:
  // closed (RFC 7766 section 6.2.3). Clients that ask are told (RFC 7828).
  absl::Duration idle_timeout = absl::Seconds(10);
  // Per thread. One more closes the one that was idle longest.
  size_t connections_max = 1024;
  // Per connection: beyond, it is not read from until answers have left.
  size_t queries_in_flight_max = 128;
  size_t unsent_octets_max = 1 << 20;
};

// One thread writes, any thread reads.
struct TcpCounters {
  Counter accepted;
  Counter open;
  Counter closed_idle;
  Counter closed_at_cap;
  Counter received;
  Counter sent;
};

class TcpListener : public Listener {
 public:
  // On the loop's thread, as everything else here; `handler` is borrowed. Listen must follow.
  TcpListener(uv_loop_t* loop, QueryHandler& handler, const TcpLimits& limits);
  // Closes all connections; libuv lets go of the handles in a later turn of the loop.
  ~TcpListener() override;

  // Takes a bound socket.
  absl::Status Listen(Socket socket);
  void Send(const ReplyPath& path, Octets message) override;
  const TcpCounters& counters() const { return counters_; }

 private:
  struct Connection;
  struct PendingWrite;

  void Accept();
  void OnRead(Connection& connection, Octets data);
  // Handles the whole messages that have come, as far as the bounds allow.
  void HandleInput(Connection& connection);
  // One batch of that, up to the bound on what is unsent; false when there was nothing to handle.
  bool HandleSome(Connection& connection);
  void QueueOutput(Connection& connection, Octets message);
  void OnWritten(Connection& connection, size_t octets);
  void Write(Connection& connection);
  // Reads on or not, and closes, as the connection's state wants.
  void Update(Connection& connection);
  void Close(Connection& connection);
  void CloseLongestIdle();
  void Sweep();

  uv_loop_t* loop_;
  QueryHandler& handler_;
  const TcpLimits limits_;
  uv_tcp_t* listening_;
  LoopTimer sweep_;
  absl::flat_hash_map<uint64_t, Connection*> connections_;
  uint64_t last_id_ = 0;
  std::vector<uint8_t> read_buffer_;
  std::vector<uint8_t> reply_buffer_;
  TcpCounters counters_;
};

}  // namespace pharos::dns
