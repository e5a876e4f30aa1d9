// What bounds TCP connections of clients, and how patient we are with idle ones (RFC 7766
// section 6.2.3).
#pragma once

#include <cstddef>

#include "absl/time/time.h"

namespace pharos::dns {

struct TcpLimits {
  // Without a whole message or an octet sent for so long, while no answer is being waited for:
  // closed. Clients that ask are told (RFC 7828).
  absl::Duration idle_timeout = absl::Seconds(10);
  // Per thread. One more closes the one that was idle longest.
  size_t connections_max = 1024;
  // Per thread and client address; 0: as many as there may be. One more closes the one of that
  // client that was idle longest, or is itself closed when none of them is idle.
  size_t connections_per_client_max = 0;
  // Per connection: beyond, it is not read from until answers have left.
  size_t queries_in_flight_max = 128;
  size_t unsent_octets_max = 1 << 20;
};

// How long a connection with nothing under way may stay while `open` are open: the idle time-out
// while at most half of connections_max are, then less in proportion to what is left, and at least
// a twentieth of it.
absl::Duration IdleTimeoutAt(const TcpLimits& limits, size_t open);

}  // namespace pharos::dns
