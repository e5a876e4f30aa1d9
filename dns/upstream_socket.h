// TCP towards recursors on a libuv loop: each connection carries one query and its reply, then is
// closed.
#pragma once

#include <uv.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "base/ip_address.h"
#include "base/octets.h"

namespace pharos::dns {

// Told what happens to an exchange. It may end that exchange from within a call.
class UpstreamSocketOwner {
 public:
  // A whole message, without TCP's length; overwritten at will, gone after the call.
  virtual void OnMessage(uint64_t exchange, const SocketAddress& source, MutableOctets message) = 0;
  // Nothing will come any more: refused, reset, closed. Not called from within what opens or sends.
  virtual void OnError(uint64_t exchange) = 0;
  // The handle of a closed socket is gone from the loop.
  virtual void OnClosed() = 0;
  // Room for what is read at a time, used until the next is: sockets of one loop read one after the
  // other.
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

  // Connects to `upstream`, and sends the message (without TCP's length) as soon as that is done.
  // The owner is borrowed and outlives OnClosed, which is called even for what did not open.
  // nullptr: the system has no socket for us, or no route.
  static Owned Open(uv_loop_t* loop, UpstreamSocketOwner& owner, uint64_t exchange,
                    const SocketAddress& upstream, Octets message);

 private:
  UpstreamSocket(uv_loop_t* loop, UpstreamSocketOwner& owner, uint64_t exchange,
                 const SocketAddress& upstream, Octets message);
  ~UpstreamSocket() = default;

  bool Connect();
  void OnConnected(int status);
  void OnRead(ssize_t octets, const uv_buf_t* buffer);
  // Gathers pieces until the message is whole; what follows it was not asked for.
  void Take(Octets piece);
  void BeginClose();

  UpstreamSocketOwner& owner_;
  const uint64_t exchange_;
  const SocketAddress upstream_;
  uv_tcp_t tcp_;
  uv_connect_t connect_;
  uv_write_t write_;
  std::vector<uint8_t> outgoing_;
  std::vector<uint8_t> incoming_;  // At most a length, a message and one read.
};

}  // namespace pharos::dns
