#include "dns/server.h"

#include <latch>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/status_macros.h"

namespace pharos::dns {
namespace {

// How often another port is tried when the kernel's choice for UDP is taken for TCP.
constexpr int kPortTriesMax = 32;

// The address with a port that is free for both transports.
absl::StatusOr<SocketAddress> PickPort(SocketAddress address) {
  absl::Status last;
  for (int i = 0; i < kPortTriesMax; ++i) {
    ASSIGN_OR_RETURN(const Socket udp, OpenListeningSocket(Transport::kUdp, address, false));
    const SocketAddress bound = BoundAddress(udp);
    last = CheckAddressIsFree(Transport::kTcp, bound);
    if (last.ok()) return bound;
  }
  return last;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerOptions& options,
                                                      const HandlerFactory& make_handler) {
  std::unique_ptr<Server> server(new Server);
  for (SocketAddress address : options.addresses) {
    if (address.port == 0) {
      ASSIGN_OR_RETURN(address, PickPort(address));
    }
    // Our own sockets share their addresses among the threads, which would let a second agent of
    // the same user join in unseen and take half of the queries.
    RETURN_IF_ERROR(CheckAddressIsFree(Transport::kUdp, address));
    RETURN_IF_ERROR(CheckAddressIsFree(Transport::kTcp, address));
    server->addresses_.push_back(address);
  }
  for (int i = 0; i < options.threads; ++i) {
    RETURN_IF_ERROR(server->StartThread(i, options, make_handler));
  }
  return server;
}

absl::Status Server::StartThread(int index, const ServerOptions& options,
                                 const HandlerFactory& make_handler) {
  threads_.push_back(std::make_unique<Thread>());
  Thread& thread = *threads_.back();
  thread.loop = std::make_unique<Loop>(absl::StrFormat("dns-%d", index));
  absl::Status status;
  thread.loop->PostAndWait([&] {
    thread.handler = make_handler(*thread.loop, index);
    for (const SocketAddress& address : addresses_) {
      absl::StatusOr<Socket> udp = OpenListeningSocket(Transport::kUdp, address, true);
      absl::StatusOr<Socket> tcp = OpenListeningSocket(Transport::kTcp, address, true);
      if (!udp.ok() || !tcp.ok()) {
        status = udp.ok() ? tcp.status() : udp.status();
        return;
      }
      thread.udp.push_back(
          std::make_unique<UdpListener>(thread.loop->uv(), *std::move(udp), *thread.handler));
      thread.tcp.push_back(
          std::make_unique<TcpListener>(thread.loop->uv(), *thread.handler, options.tcp));
      status = thread.tcp.back()->Listen(*std::move(tcp));
      if (!status.ok()) return;
    }
  });
  return status;
}

Server::~Server() {
  for (const std::unique_ptr<Thread>& thread : threads_) {
    std::latch closed(1);
    thread->loop->Post([&] {
      if (!thread->handler) {
        closed.count_down();
        return;
      }
      // The handler first: answers that it still gives go out through the listeners.
      thread->handler->Close([&] { closed.count_down(); });
    });
    closed.wait();
    thread->loop->PostAndWait([&] {
      thread->udp.clear();
      thread->tcp.clear();
      thread->handler.reset();
    });
    thread->loop->Stop();
  }
}

void Server::ForEachThread(const std::function<void(ThreadHandler&, int thread)>& work) {
  for (size_t i = 0; i < threads_.size(); ++i) {
    Thread& thread = *threads_[i];
    thread.loop->PostAndWait([&] { work(*thread.handler, static_cast<int>(i)); });
  }
}

void Server::ForEachListener(
    const std::function<void(const UdpCounters&, const TcpCounters&)>& visit) {
  for (const std::unique_ptr<Thread>& thread : threads_) {
    for (size_t i = 0; i < thread->udp.size(); ++i) {
      thread->udp[i]->ReadKernelDrops();
      visit(thread->udp[i]->counters(), thread->tcp[i]->counters());
    }
  }
}

}  // namespace pharos::dns
