// One thread of the HTTP server: its listeners and connections, confined to its loop.
#pragma once

#include <uv.h>

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/ip_address.h"
#include "base/loop.h"
#include "base/socket.h"
#include "http/connection.h"
#include "http/server.h"

namespace pharos::http {

// How many connections there are, in the whole server and of each client. Thread-safe.
class ConnectionCounts {
 public:
  ConnectionCounts(int connections_max, int per_client_max)
      : connections_max_(connections_max), per_client_max_(per_client_max) {}

  enum class Verdict { kAccepted, kServerFull, kClientFull };
  // Counts the connection if it is accepted; each that was is removed once. Null: a Unix socket,
  // whose clients are not told apart.
  Verdict Add(const IpAddress* client);
  void Remove(const IpAddress* client);
  void SetPerClientMax(int max);

 private:
  std::mutex mutex_;
  const int connections_max_;
  int per_client_max_ ABSL_GUARDED_BY(mutex_);
  int open_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<IpAddress, int> by_client_ ABSL_GUARDED_BY(mutex_);
};

// The parts of the API that are counted each by itself: the word behind /v1/.
inline constexpr std::array<std::string_view, 13> kEndpointGroups = {
    "acl", "agent",    "catalog",    "coordinate", "event",   "health", "internal",
    "kv",  "operator", "prometheus", "query",      "session", "status"};
size_t EndpointGroupOf(std::string_view path);  // kEndpointGroups.size(): any other.

struct EndpointCounters {
  Counter responses[6];        // By the hundreds of their status.
  DurationHistogram duration;  // Of those that did not wait for a change.
};

// Written by their thread, read by any.
struct ThreadCounters {
  std::atomic<uint64_t> accepted{0}, open{0}, requests{0}, closed_at_cap{0},
      closed_at_client_cap{0}, malformed{0}, timed_out{0}, too_large{0}, tls_failed{0},
      octets_in{0}, octets_out{0};
  std::array<EndpointCounters, kEndpointGroups.size() + 1> endpoints;
};

class ServerThread {
 public:
  // On the loop's thread, as everything here. What is borrowed outlives this.
  ServerThread(Loop& loop, const ServerOptions& options, ConnectionCounts& counts,
               std::unique_ptr<ThreadHandler> handler);
  // Ends the handler, which forgets who waits, and then every connection.
  ~ServerThread();

  absl::Status Listen(Socket socket, bool tls);
  // Binds the path.
  absl::Status ListenUnix(const std::string& path, bool tls);
  void SetTls(TlsContext tls) { tls_ = std::move(tls); }

  Loop& loop() { return loop_; }
  const ServerOptions& options() const { return options_; }
  ThreadHandler& handler() { return *handler_; }
  ThreadCounters& counters() { return counters_; }
  // The Date header for now; made once a second.
  const std::string& Date();
  // For reads of all connections, one after the other.
  std::string& read_buffer() { return read_buffer_; }
  void Forget(Connection& connection);

 private:
  struct Listener;
  void Accept(Listener& listener);
  void Sweep();

  Loop& loop_;
  const ServerOptions& options_;
  ConnectionCounts& counts_;
  std::unique_ptr<ThreadHandler> handler_;
  TlsContext tls_;
  std::vector<Listener*> listeners_;
  absl::flat_hash_map<uint64_t, Connection*> connections_;
  absl::flat_hash_map<uint64_t, IpAddress>
      clients_;  // Of connections that are not on a Unix socket.
  uint64_t last_id_ = 0;
  LoopTimer sweep_;
  std::string read_buffer_;
  int64_t date_s_ = 0;
  std::string date_;
  ThreadCounters counters_;
};

}  // namespace pharos::http
