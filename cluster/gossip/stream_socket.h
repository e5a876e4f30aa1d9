// TCP connections of a pool: each carries one question and its answer and is closed. All on the
// thread of the loop.
#pragma once

#include <uv.h>

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/ip_address.h"
#include "base/loop.h"
#include "cluster/gossip/stream.h"

namespace pharos::gossip {

// A connection. It is destroyed at any time, which closes it; its callbacks may do so.
class StreamSocket {
 public:
  explicit StreamSocket(uv_loop_t* loop);
  ~StreamSocket();
  StreamSocket(const StreamSocket&) = delete;
  StreamSocket& operator=(const StreamSocket&) = delete;

  // Takes the connection that waits at a listener.
  absl::Status Accept(uv_stream_t* listener);
  // Connects, sends `octets`, then reads.
  void Connect(const SocketAddress& to, std::string octets);
  void Read();
  // `done` once all is sent, or has failed.
  void Write(std::string octets, std::function<void()> done);
  // The other side's address; 0.0.0.0 once it is gone.
  SocketAddress peer() const;
  // Ends what takes longer with an error.
  void SetDeadline(absl::Duration after);

  // What comes; an error ends it, with the other side's end (OutOfRange) among them.
  std::function<void(absl::StatusOr<Octets>)> on_read;

 private:
  // Apart from this, because libuv needs it until the handle is closed.
  struct Handle {
    uv_tcp_t tcp;
    uv_connect_t connect;
    StreamSocket* owner = nullptr;
    char buffer[64 << 10];
  };
  struct WriteRequest {
    uv_write_t request;
    std::string octets;
    Handle* handle;
    std::function<void()> done;
  };
  void Fail(absl::Status status);

  Handle* handle_;
  LoopTimer timer_;
  std::string to_send_;
};

}  // namespace pharos::gossip
