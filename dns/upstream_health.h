// What is remembered of how one upstream did: its round trip, whether it answers at all, and
// whether what it is asked comes back to us. One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "absl/time/time.h"
#include "base/counter.h"
#include "dns/upstream.h"

namespace pharos::dns {

struct UpstreamCounters {
  Counter queries;   // Messages to it, those sent again too.
  Counter replies;   // Messages from it that match their query.
  Counter failures;  // No reply in time, refused, or the connection broke.
  Counter down;      // 1 while it is passed over because it does not answer.
  Counter looping;   // 1 while it is not asked because it asks us.
  DurationHistogram round_trips;
};

class UpstreamHealth {
 public:
  // One that gave no answer this often in a row is down: passed over,
  static constexpr int kFailuresToAvoid = 3;
  // and tried for a first time after this long, then after twice as long each time, at most
  static constexpr absl::Duration kProbeAfterMin = absl::Seconds(1);
  static constexpr absl::Duration kProbeAfterMax = absl::Seconds(60);
  // How often it is looked whether what it is asked comes back to us.
  static constexpr absl::Duration kLoopProbeInterval = absl::Seconds(60);

  explicit UpstreamHealth(Upstream upstream) : upstream_(std::move(upstream)) {}

  const Upstream& upstream() const { return upstream_; }

  void NoteQuery() { counters_.queries.Add(); }
  // nullopt: it is not known which of two messages was answered (Karn's rule).
  void NoteReply(std::optional<absl::Duration> round_trip);
  void NoteFailure(absl::Time now);
  bool down() const { return failures_in_row_ >= kFailuresToAvoid; }
  // Whether it is down and to be tried again now. True once; then it is the next one's turn only
  // after the next wait.
  bool TakeProbe(absl::Time now);
  // Smoothed as in RFC 6298; zero while unknown.
  absl::Duration RoundTrip() const { return round_trip_; }

  void NoteLoop(bool looping);
  bool looping() const { return counters_.looping.value() != 0; }
  // Whether it is time to look for a loop again; true once an interval.
  bool TakeLoopProbe(absl::Time now);

  const UpstreamCounters& counters() const { return counters_; }

 private:
  const Upstream upstream_;
  int failures_in_row_ = 0;
  absl::Time probe_at_ = absl::InfinitePast();
  absl::Duration probe_after_ = kProbeAfterMin;
  absl::Time loop_probe_at_ = absl::InfinitePast();
  absl::Duration round_trip_ = absl::ZeroDuration();
  UpstreamCounters counters_;
};

}  // namespace pharos::dns
