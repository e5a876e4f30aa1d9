// The forwarder on a libuv loop: sockets, the timer and the clock around dns/forwarder.h. Created,
// used and closed on the loop's thread; counters may be read from any.
#pragma once

#include <uv.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "dns/dot_connection.h"
#include "dns/forwarder.h"
#include "dns/resolver.h"
#include "dns/upstream_ports.h"
#include "dns/upstream_socket.h"

namespace pharos::dns {

class UvResolver : public Resolver, private UpstreamSocketOwner {
 public:
  // TCP connections to upstreams at one time; a query beyond goes to the next upstream instead.
  static constexpr size_t kTcpSocketsMax = 256;

  // The loop is borrowed and outlives this.
  UvResolver(uv_loop_t* loop, const ResolverOptions& options);
  // After Close has called back.
  ~UvResolver() override;

  bool has_upstreams() const override { return forwarder_.has_upstreams(); }
  // Times are read from a clock of our own that no correction of the wall clock makes jump.
  void Resolve(const UpstreamQuestion& question, absl::Time now, Done done) override;
  // From the next question on; what is under way and what is cached stays. Connections by TLS that
  // are idle are closed, and new ones read the files anew.
  void Reconfigure(const ResolverOptions& options);
  // Afterwards every question gets SERVFAIL at once.
  void Close(std::function<void()> closed) override;

  // On the loop's thread.
  AnswerCache& cache() { return forwarder_.cache(); }
  std::span<const UpstreamHandle> upstreams() const { return forwarder_.upstreams(); }

  const DotCounters& dot_counters() const { return dot_counters_; }
  const Counter& tcp_refused() const { return tcp_refused_; }
  const ForwarderCounters& counters() const { return forwarder_.counters(); }
  const CacheCounters& cache_counters() const { return forwarder_.cache_counters(); }

 private:
  void OnMessage(uint64_t exchange, const SocketAddress& source, MutableOctets message) override;
  void OnError(uint64_t exchange) override;
  void OnClosed() override;
  MutableOctets ReadBuffer() override { return read_buffer_; }

  absl::Time Now() const;
  // Does what the forwarder wants done.
  void Perform(ForwarderOutput& out);
  bool SendTo(const ForwarderOutput::Send& send);
  bool SendByTcp(const ForwarderOutput::Send& send);
  bool SendByTls(const ForwarderOutput::Send& send);
  void EndExchange(uint64_t exchange);
  void SetTimer();
  void OnTimer();

  // Where an exchange takes place that is not over UDP: on a connection of its own, or on one by
  // TLS.
  struct Entry {
    UpstreamSocket::Owned socket;
    DotConnection* dot = nullptr;
  };

  uv_loop_t* loop_;
  uv_timer_t timer_;
  absl::Time timer_deadline_ = absl::InfiniteFuture();  // What the timer is set for.
  const absl::Time started_;
  const uint64_t started_ns_;
  SecureRandomBuffer random_;
  Forwarder forwarder_;
  UpstreamPorts ports_;
  absl::flat_hash_map<uint64_t, Entry> connections_;  // By exchange.
  size_t tcp_sockets_ = 0;
  Counter tcp_refused_;  // Queries that found kTcpSocketsMax reached.
  TlsClient tls_;
  DotCounters dot_counters_;
  absl::flat_hash_map<Upstream, std::unique_ptr<DotConnection>> dot_;
  size_t handles_ = 1;  // Not yet gone from the loop: TCP connections, the timer.
  std::function<void()> closed_;
  bool closing_ = false;
  std::vector<uint8_t> read_buffer_;
};

}  // namespace pharos::dns
