// Queries over TCP for one thread (RFC 1035 section 4.2.2, RFC 7766): pipelined, answered in any
// order, with bounds on everything a client could make us hold.
#pragma once

#include <uv.h>

#include <cstdint>
#include <list>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "base/counter.h"
#include "base/loop.h"
#include "base/socket.h"
#include "dns/client_counts.h"
#include "dns/listener.h"
#include "dns/tcp_limits.h"

namespace pharos::dns {

// One thread writes, any thread reads.
struct TcpCounters {
  Counter accepted;
  Counter open;
  Counter closed_idle;
  Counter closed_under_pressure;  // Idle for less than the whole time-out, as many were open.
  Counter closed_at_cap;
  Counter closed_at_client_cap;
  Counter refused_at_client_cap;  // None of the client's connections was idle.
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
  SocketAddress LocalAddress() const override { return bound_; }
  const TcpCounters& counters() const { return counters_; }

 private:
  struct Connection;
  struct PendingWrite;

  void Accept();
  // Makes room for one more connection of `client`; false if there is none.
  bool MakeRoomFor(const IpAddress& client);
  // Something has come or left.
  void Touch(Connection& connection);
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
  // Of all connections, or of `client` alone if it is given, the one with nothing under way for
  // longest; null if there is none.
  Connection* FindLongestIdle(const IpAddress* client);
  void CloseLongestIdle();
  void Sweep();

  uv_loop_t* loop_;
  QueryHandler& handler_;
  const TcpLimits limits_;
  uv_tcp_t* listening_;
  SocketAddress bound_;
  LoopTimer sweep_;
  absl::flat_hash_map<uint64_t, Connection*> connections_;
  std::list<Connection*> by_activity_;  // All of them; where nothing happened for longest first.
  ClientCounts clients_;
  uint64_t last_id_ = 0;
  std::vector<uint8_t> read_buffer_;
  std::vector<uint8_t> reply_buffer_;
  TcpCounters counters_;
};

}  // namespace pharos::dns
