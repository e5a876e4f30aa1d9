// A Lamport clock (Lamport, 1978): orders what happens in a pool without the time of day.
#pragma once

#include <algorithm>

#include "cluster/gossip/serf_messages.h"

namespace pharos::gossip {

class LamportClock {
 public:
  LamportTime time() const { return time_; }
  LamportTime Increment() { return ++time_; }
  // Something happened at `seen`, so what happens now is later.
  void Witness(LamportTime seen) {
    if (seen >= time_ && seen < kMax) time_ = seen + 1;
  }

 private:
  // A time so great is no count of events; believing it would end the clock.
  static constexpr LamportTime kMax = LamportTime{1} << 62;
  LamportTime time_ = 1;
};

}  // namespace pharos::gossip
