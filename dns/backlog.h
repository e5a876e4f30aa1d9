// Overload of a UDP socket: when its queue is never empty, how long each datagram has waited there
// is asked of the kernel, and what has waited too long is shed. Its client has most likely given up
// or asked again, and every answer after it would be as late. Pure: what happened and a time in,
// what to do out. One thread.
#pragma once

#include "absl/time/time.h"

namespace pharos::dns {

class Backlog {
 public:
  // What has waited so long is shed. Well above what a full queue takes to answer on a machine that
  // keeps up, well below the second or more after which clients ask again.
  static constexpr absl::Duration kPatience = absl::Milliseconds(250);
  // No datagram waits so long: somebody has set the clock.
  static constexpr absl::Duration kClockJump = absl::Minutes(1);
  // The kernel is asked for so long after the last turn that did not empty the queue: switching it
  // on and off concerns every socket of the machine.
  static constexpr absl::Duration kAfterglow = absl::Seconds(10);

  // A turn has ended in which the queue was emptied, or not. Returns whether arrival times are to
  // be known from now on; they cost something for every datagram, and at rest nobody asks.
  bool OnTurn(bool emptied, absl::Time now) {
    if (!emptied) {
      pressed_at_ = now;
    } else if (now - pressed_at_ >= kAfterglow || now < pressed_at_) {
      pressed_at_ = absl::InfinitePast();
    }
    return pressed_at_ != absl::InfinitePast();
  }

  static bool IsTooOld(absl::Time arrived, absl::Time now) {
    const absl::Duration waited = now - arrived;
    return waited >= kPatience && waited < kClockJump;
  }

 private:
  absl::Time pressed_at_ = absl::InfinitePast();  // The last turn that did not empty the queue.
};

}  // namespace pharos::dns
