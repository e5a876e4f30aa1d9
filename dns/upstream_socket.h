// Sockets to recursors on a libuv loop: each carries one query and its reply, then is closed, so
// that every query has a port of its own that nobody can guess (RFC 5452 section 9.2).
#pragma once

#include <uv.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "base/ip_address.h"
#include "base/octets.h"

namespace pharos::dns {

// Told what happens on a socket. It may close that socket from within a call.
class UpstreamSocketOwner {
 public:
  // A whole message, without TCP's length; overwritten at will, gone after the call.
  virtual void OnMessage(uint64_t exchange, const SocketAddress& source, MutableOctets message) = 0;
  // Nothing will come any more: refused, reset, closed. Not called from within Open or Send.
  virtual void OnError(uint64_t exchange) = 0;
  // The handle of a closed socket is gone from the loop.
  virtual void OnClosed() = 0;
  // Room for one datagram, used until the next one: sockets of one loop read one after the other.
  virtual MutableOctets ReadBuffer() = 0;

 protected:
  ~UpstreamSocketOwner() = default;
};

class UpstreamSocket {
 public:
  // Closing is asynchronous in libuv, so a socket frees itself then.
  struct Close {
    void operator()(UpstreamSocket* socket) const { socket->BeginClose(); }
  };
  using Owned = std::unique_ptr<UpstreamSocket, Close>;

  // A socket towards `upstream`; the owner is borrowed and outlives OnClosed. nullptr: the system
  // has no socket for us, or no route.
  static Owned OpenUdp(uv_loop_t* loop, UpstreamSocketOwner& owner, uint64_t exchange,
                       const SocketAddress& upstream);
  static Owned OpenTcp(uv_loop_t* loop, UpstreamSocketOwner& owner, uint64_t exchange,
                       const SocketAddress& upstream);

  // Sends a message without TCP's length; over TCP once, as soon as the connection stands. False:
  // the system would not take it.
  virtual bool Send(Octets message) = 0;

 protected:
  UpstreamSocket(UpstreamSocketOwner& owner, uint64_t exchange, const SocketAddress& upstream)
      : owner_(owner), exchange_(exchange), upstream_(upstream) {}
  virtual ~UpstreamSocket() = default;
  virtual uv_handle_t* handle() = 0;
  void BeginClose();

  UpstreamSocketOwner& owner_;
  const uint64_t exchange_;
  const SocketAddress upstream_;
};

}  // namespace pharos::dns
