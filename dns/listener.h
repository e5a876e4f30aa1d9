// What stands between sockets and answers: a listener hands each message to its thread's
// QueryHandler, and the handler gives the answer at once or sends it later.
#pragma once

#include <netinet/in.h>

#include <cstdint>
#include <optional>
#include <span>

#include "absl/time/time.h"
#include "base/ip_address.h"
#include "base/octets.h"
#include "dns/types.h"

namespace pharos::dns {

class Listener;

// Where an answer goes. A plain value: it may outlive the TCP connection it came from (the answer
// then goes nowhere) but not its listener. Used on its listener's thread only.
struct ReplyPath {
  Listener* listener = nullptr;
  Transport transport = Transport::kUdp;
  SocketAddress client;
  // UDP on a wildcard address: the address that was asked, which the answer must leave from.
  IpAddress local_ip;
  bool local_ip_known = false;
  // TCP: which connection, whose number is never used again for another, and how long it is kept
  // open without a query.
  uint64_t connection_id = 0;
  absl::Duration idle_timeout = absl::ZeroDuration();
};

class Listener {
 public:
  virtual ~Listener() = default;
  // Sends an answer that was not ready when its query was handled.
  virtual void Send(const ReplyPath& path, Octets message) = 0;
  // Where it listens, with the port the kernel picked; the IP may be a wildcard.
  virtual SocketAddress LocalAddress() const { return {}; }
};

// Answers messages for one thread. All calls come on that thread's loop.
class QueryHandler {
 public:
  virtual ~QueryHandler() = default;
  // Around each run of Handle calls: what is pinned in between (a ReadGuard) is held for one batch
  // and never across a turn of the loop.
  virtual void BeginBatch() = 0;
  virtual void EndBatch() = 0;
  // Tells of the messages that Handle will be called for in this batch, as far as they are known,
  // so that they can be looked up together. Borrowed until EndBatch.
  virtual void LookAhead(std::span<const Octets> requests) { static_cast<void>(requests); }
  // Answers the `i`-th of them into `reply` and returns the answer's length, if that can be done
  // without a path; else 0, and Handle is to be called.
  virtual size_t AnswerAhead(size_t i, MutableOctets reply) {
    static_cast<void>(i), static_cast<void>(reply);
    return 0;
  }
  // Answers `request` into `reply`, which has room for the largest message of the path's transport,
  // and returns the answer's length. 0: none is due; nullopt: it comes later, exactly once, by
  // path.listener->Send. `request` is gone after the call.
  virtual std::optional<size_t> Handle(Octets request, const ReplyPath& path,
                                       MutableOctets reply) = 0;
};

}  // namespace pharos::dns
