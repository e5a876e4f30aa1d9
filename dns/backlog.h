// Overload of a UDP socket: when what waits in its queue may have waited long, the kernel is asked
// when each datagram came, and what has waited too long is shed. Its client has most likely given
// up or asked again, and every answer after it would be as late. Pure: what happened and a time in,
// what to do out. One thread.
#pragma once

#include <cstddef>

#include "absl/time/time.h"

namespace pharos::dns {

class Backlog {
 public:
  // What has waited so long is shed. Well above what a full queue takes to answer on a machine that
  // keeps up, well below the second or more after which clients ask again.
  static constexpr absl::Duration kPatience = absl::Milliseconds(250);
  // No datagram waits so long: somebody has set the clock.
  static constexpr absl::Duration kClockJump = absl::Minutes(1);
  // The kernel is asked for so long after the last sign of waiting: switching it on and off
  // concerns every socket of the machine.
  static constexpr absl::Duration kAfterglow = absl::Seconds(10);
  // What the kernel charges a socket's queue for a datagram at the least, however short it is.
  static constexpr size_t kQueuedOctetsMin = 512;

  // A turn of the loop in which the queue was not emptied.
  struct Turn {
    absl::Duration since_last;  // From the beginning of the turn before to this one's.
    size_t taken;               // Datagrams, at least 1.
    size_t queued_octets;       // As the kernel charges for what is left.
  };

  // Whether arrival times are to be known from now on; they cost something for every datagram, and
  // a server that is busy and keeps up needs none.
  bool OnFullTurn(const Turn& turn, absl::Time now) {
    const double queued = static_cast<double>(turn.queued_octets) / kQueuedOctetsMin;
    const absl::Duration wait = turn.since_last * (queued / static_cast<double>(turn.taken));
    if (turn.since_last >= kPatience || wait >= kPatience / 2) pressed_at_ = now;
    return IsPressed(now);
  }
  // The same of a turn in which it was emptied.
  bool OnEmptied(absl::Time now) { return IsPressed(now); }

  static bool IsTooOld(absl::Time arrived, absl::Time now) {
    const absl::Duration waited = now - arrived;
    return waited >= kPatience && waited < kClockJump;
  }

 private:
  bool IsPressed(absl::Time now) {
    if (now - pressed_at_ >= kAfterglow || now < pressed_at_) pressed_at_ = absl::InfinitePast();
    return pressed_at_ != absl::InfinitePast();
  }

  absl::Time pressed_at_ = absl::InfinitePast();  // The last sign of waiting.
};

}  // namespace pharos::dns
