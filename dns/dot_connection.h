// One upstream by DNS over TLS (RFC 7858): a connection that is opened when there is something to
// ask, carries any number of queries at a time (RFC 7766 section 6.2.1.1), and is kept for a while
// after the last. On its loop's thread, as everything here.
#pragma once

#include <uv.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "base/counter.h"
#include "base/loop.h"
#include "base/octets.h"
#include "base/tls_client.h"
#include "dns/upstream.h"
#include "dns/upstream_socket.h"

namespace pharos::dns {

struct DotCounters {
  Counter connections;  // Opened.
  Counter failures;     // That broke, or were not to be had.
  Counter open;         // As it stands now.
};

class DotConnection {
 public:
  // To the end of the handshake.
  static constexpr absl::Duration kConnectPatience = absl::Seconds(5);
  // Without a query under way.
  static constexpr absl::Duration kIdleMax = absl::Seconds(20);
  // A query that was given up after so long, with nothing received meanwhile, means that the peer
  // is gone without a word: the next one gets a new connection.
  static constexpr absl::Duration kSilenceMax = absl::Seconds(1);
  // Connections in a row that were made and broke without a single reply; then what is under way
  // fails.
  static constexpr int kUselessMax = 3;
  // Queries under way; one more fails.
  static constexpr size_t kPendingMax = 4096;

  // All but the upstream is borrowed. `owner` is told as by a socket, but for OnClosed: what is
  // left on the loop frees itself.
  DotConnection(uv_loop_t* loop, TlsClient& tls, UpstreamSocketOwner& owner, DotCounters& counters,
                Upstream upstream);
  // Tells nobody.
  ~DotConnection();
  DotConnection(const DotConnection&) = delete;
  DotConnection& operator=(const DotConnection&) = delete;

  // Sends a query now or as soon as the connection stands. It has an id of this connection's on the
  // way; the reply comes with the one it has here. False: there is no way to.
  bool Send(uint64_t exchange, Octets message);
  // No reply is waited for any more.
  void Cancel(uint64_t exchange);
  bool idle() const { return pending_.empty(); }

 private:
  struct Link;
  struct Pending {
    uint64_t exchange = 0;
    uint16_t id = 0;  // As whoever asks knows it.
    std::vector<uint8_t> message;
    uint64_t since_ms = 0;
  };

  bool Connect();
  void OnConnected(int status);
  void OnRead(ssize_t octets, const uv_buf_t* buffer);
  void TakeWire(Octets wire);
  // Hands on the whole messages that have come.
  void TakeMessages();
  void SendPending();
  void SendQuery(const Pending& pending);
  // Writes what TLS wants written.
  void Flush();
  // The connection is of no use any more: what is under way begins anew on another, or fails if
  // that has been of no use either.
  void Break(const std::string& why);
  void Drop();
  void FailAll();
  void BecomeIdle();

  uv_loop_t* loop_;
  TlsClient& tls_;
  UpstreamSocketOwner& owner_;
  DotCounters& counters_;
  const Upstream upstream_;
  Link* link_ = nullptr;  // Owns itself once it is closing.
  std::unique_ptr<TlsSession> session_;
  std::string plain_;  // What has come and is not yet a whole message.
  uint16_t next_id_ = 0;
  absl::flat_hash_map<uint16_t, Pending> pending_;  // By the id on the way.
  int useless_ = 0;                                 // Connections since the last reply.
  uint64_t received_at_ms_ = 0;
  absl::Time logged_ = absl::InfinitePast();
  LoopTimer timer_;  // The handshake's, then for idleness.
};

}  // namespace pharos::dns
