// The HTTP/1.1 server (RFC 9112): listeners and connections on threads `http-0` ..., requests to a
// ThreadHandler each. Hostile clients cost a bounded amount and nobody else's time.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/ip_address.h"
#include "base/loop.h"
#include "http/exchange.h"
#include "http/tls.h"

namespace pharos::http {

// Where to listen: an IP address and port, or a Unix socket if `unix_path` is not empty.
struct Listen {
  SocketAddress address;  // Port 0: the kernel picks.
  std::string unix_path;
  bool tls = false;
};

struct UnixSocketOptions {
  std::string user, group, mode;  // Name or number, and an octal mode; empty: as it is created.
};

struct ServerOptions {
  std::vector<Listen> listen;
  TlsOptions tls;
  UnixSocketOptions unix_sockets;
  int threads = 2;
  size_t head_octets_max = 1 << 20;          // Request line and headers together; more is 431.
  size_t body_octets_max = 64 << 20;         // More is 413, said as soon as it is known.
  std::string large_path;                    // Whose requests may have bodies of
  size_t large_body_octets_max = 512 << 20;  // so many octets; empty: none.
  size_t unsent_octets_max = 1 << 20;        // Of a stream, before Write refuses.
  int connections_max = 20'000;              // In the whole server; one more is closed at once.
  int connections_per_client_max = 200;      // Of one IP address; one more gets 429 and is closed.
  absl::Duration handshake_timeout = absl::Seconds(5);  // Of TLS, from the connection's begin.
  absl::Duration head_timeout = absl::Seconds(10);      // From a request's first octet to its last
                                                        // header.
  absl::Duration body_timeout = absl::Seconds(30);   // Without an octet of a body that is awaited.
  absl::Duration idle_timeout = absl::Minutes(2);    // Between requests.
  absl::Duration write_timeout = absl::Seconds(30);  // Without an octet taken by the client.
  TextPairs response_headers;                        // Added to every response.
};

// Counts by one writer thread each, summed when read.
struct ServerCounters {
  uint64_t accepted = 0, open = 0, requests = 0, closed_at_cap = 0, closed_at_client_cap = 0;
  uint64_t malformed = 0, timed_out = 0, too_large = 0, tls_failed = 0;
  uint64_t octets_in = 0, octets_out = 0;
};

struct EndpointCounters;

class Server {
 public:
  using MakeHandler = std::function<std::unique_ptr<ThreadHandler>(Loop& loop, int thread)>;

  virtual ~Server() = default;  // Closes every connection and ends the threads.

  // Binds and listens before it returns. Errors are for the operator: the address in use, a TLS
  // file that is missing or no PEM, named with what is wrong.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerOptions& options,
                                                       const MakeHandler& make_handler);

  // As bound, in the order of ServerOptions::listen; port 0 replaced by the kernel's.
  virtual std::vector<Listen> addresses() const = 0;
  // Reads the certificate files again, for connections to come. An error leaves those in use.
  virtual absl::Status ReloadTls(const TlsOptions& tls) = 0;
  virtual void SetConnectionsPerClientMax(int max) = 0;
  virtual ServerCounters counters() const = 0;
  // Calls `visit` for each thread's counts by endpoint.
  using VisitEndpoint =
      std::function<void(std::string_view group, const EndpointCounters& counters)>;
  virtual void ForEachEndpoint(const VisitEndpoint& visit) const = 0;
  // Runs `work` on each thread with its handler, and waits.
  virtual void ForEachThread(const std::function<void(ThreadHandler&, int)>& work) = 0;
};

}  // namespace pharos::http
