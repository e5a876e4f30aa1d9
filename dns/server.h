// The DNS front end: so many threads, each with its own sockets on every address, and nothing that
// they share.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "base/ip_address.h"
#include "base/loop.h"
#include "dns/listener.h"
#include "dns/tcp_listener.h"
#include "dns/udp_listener.h"

namespace pharos::dns {

struct ServerOptions {
  // UDP and TCP are served on each. Port 0: the kernel picks one, the same for both.
  std::vector<SocketAddress> addresses;
  int threads = 1;
  TcpLimits tcp;
};

// What a thread's handler needs to live and to end: its own handles on the loop, closed before the
// loop ends.
class ThreadHandler : public QueryHandler {
 public:
  // On the loop's thread, once: closes every handle; `closed` is called when no callback comes any
  // more and the handler may be destroyed.
  virtual void Close(std::function<void()> closed) = 0;
};

class Server {
 public:
  // Called on each thread's loop, to make what answers there.
  using HandlerFactory = std::function<std::unique_ptr<ThreadHandler>(Loop& loop, int thread)>;

  // Starts the threads `dns-0` ... and serves. An address that cannot be had, or that another
  // process has, is Unavailable: `cannot listen on udp 127.0.0.1:8600: address already in use`.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerOptions& options,
                                                       const HandlerFactory& make_handler);
  // Stops answering and ends the threads.
  ~Server();

  // Where it serves, with the ports the kernel picked.
  const std::vector<SocketAddress>& addresses() const { return addresses_; }

  // Runs `work` on each thread with its handler, one after the other, and waits.
  void ForEachThread(const std::function<void(ThreadHandler&, int thread)>& work);

  // From any one thread; each thread's counters, in the order of the threads and addresses.
  void ForEachListener(const std::function<void(const UdpCounters&, const TcpCounters&)>& visit);

 private:
  struct Thread {
    std::unique_ptr<Loop> loop;
    std::unique_ptr<ThreadHandler> handler;
    std::vector<std::unique_ptr<UdpListener>> udp;
    std::vector<std::unique_ptr<TcpListener>> tcp;
  };

  Server() = default;
  absl::Status StartThread(int index, const ServerOptions& options,
                           const HandlerFactory& make_handler);

  std::vector<SocketAddress> addresses_;
  std::vector<std::unique_ptr<Thread>> threads_;
};

}  // namespace pharos::dns
