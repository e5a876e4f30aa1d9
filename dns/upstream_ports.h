// UDP towards recursors on a libuv loop. Each query leaves from a port of its own that the kernel
// picks at random, as long as there are no more than some hundred in a second. Beyond that queries
// share ports that keep changing: a port takes queries to one upstream for a second at most, and
// not many of them, then waits for the replies that are due and is closed. Who forges a reply still
// has to guess the port and the id of the one query it is for (RFC 5452 section 9.2), and has
// little time to find a port; a busy agent does not open and close a socket for each query.
#pragma once

#include <sys/socket.h>
#include <uv.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "base/ip_address.h"
#include "base/loop.h"
#include "base/octets.h"
#include "base/random.h"
#include "base/socket.h"
#include "dns/upstream_socket.h"

namespace pharos::dns {

// On its loop's thread, as everything here.
class UpstreamPorts {
 public:
  // That take queries to one upstream at a time; one more query takes any of them.
  static constexpr size_t kPortsMax = 256;
  // That one port takes in its life.
  static constexpr size_t kQueriesMax = 64;
  // For so long it takes them.
  static constexpr absl::Duration kAgeMax = absl::Seconds(1);
  // A longer reply is cut, and then malformed: we never offer to take so much.
  static constexpr size_t kReplyOctetsMax = 4096;

  // Both are borrowed; what is left on the loop in the end frees itself. OnError may come for many
  // exchanges at once, as they share a port.
  UpstreamPorts(uv_loop_t* loop, UpstreamSocketOwner& owner, absl::Duration age_max = kAgeMax);
  // Tells nobody.
  ~UpstreamPorts();
  UpstreamPorts(const UpstreamPorts&) = delete;
  UpstreamPorts& operator=(const UpstreamPorts&) = delete;

  // Sends the query of an exchange, a second time from the same port. False: the system would not
  // take it.
  bool Send(uint64_t exchange, const SocketAddress& upstream, Octets message);
  // No reply is waited for any more; one that comes is dropped.
  void Cancel(uint64_t exchange);
  // Closes all of them, whatever is under way. For good.
  void Close();

 private:
  static constexpr size_t kBatch = 16;
  // Batches read in one turn of the loop.
  static constexpr int kReadsMax = 8;
  // Ports tried for a query where others turn out to be broken: a new one never does.
  static constexpr size_t kTriesMax = kPortsMax + 1;

  struct Port;
  using PortRef = std::shared_ptr<Port>;
  // The ports that take queries to one upstream; null: opened when its turn comes.
  struct Taking {
    std::array<PortRef, kPortsMax> ports;
    size_t next = 0;  // Where the next is opened once the one there is old.
  };
  struct Place {
    PortRef port;
    uint16_t id = 0;
  };

  PortRef Open(const SocketAddress& upstream);
  // A port to the upstream that takes a query with this id; null: the system has none for us.
  PortRef Choose(const SocketAddress& upstream, uint16_t id);
  enum class Sent : uint8_t {
    kYes,
    kNo,      // The system did not take this message.
    kBroken,  // The port has been given up; what waited there is told later.
  };
  Sent SendFrom(const PortRef& port, Octets message);
  void OnReadable(const PortRef& port, int status);
  void OnReply(const PortRef& port, MutableOctets message);
  // It takes no more queries; it is closed once it waits for no reply.
  void Retire(const PortRef& port);
  static void ClosePort(Port& port);
  // All that it waits for ends.
  void Fail(const PortRef& port);
  // Calls Sweep later.
  void SweepAfter(absl::Duration delay);
  // Sees to those that are old, and to those that failed while something was sent.
  void Sweep();
  bool IsOld(const Port& port) const;
  bool MayTake(const PortRef& port, uint16_t id) const;

  uv_loop_t* loop_;
  UpstreamSocketOwner& owner_;
  const absl::Duration age_max_;
  SecureRandomBuffer random_;
  absl::flat_hash_map<SocketAddress, Taking> taking_;
  absl::flat_hash_map<uint64_t, Place> places_;  // By exchange.
  std::vector<PortRef> broken_;                  // Whose exchanges are to be told.
  std::optional<LoopTimer> sweep_;               // None: closed.
  bool sweeping_ = false;
  std::vector<uint8_t> buffer_;
  std::array<iovec, kBatch> pieces_{};
  std::array<mmsghdr, kBatch> received_{};
};

}  // namespace pharos::dns
