#include "dns/upstream_health.h"

#include <algorithm>

#include "base/log.h"

namespace pharos::dns {

void UpstreamHealth::NoteReply(std::optional<absl::Duration> round_trip) {
  counters_.replies.Add();
  if (down()) {
    PHAROS_LOG(kInfo, "agent.dns", "Recursor answers again: address=%s", upstream_.ToString());
  }
  failures_in_row_ = 0;
  probe_after_ = kProbeAfterMin;
  counters_.down.Set(0);
  if (!round_trip) return;
  counters_.round_trips.Add(
      static_cast<uint64_t>(std::max<int64_t>(absl::ToInt64Nanoseconds(*round_trip), 0)));
  round_trip_ =
      round_trip_ == absl::ZeroDuration() ? *round_trip : round_trip_ * 7 / 8 + *round_trip / 8;
}

void UpstreamHealth::NoteFailure(absl::Time now) {
  counters_.failures.Add();
  if (++failures_in_row_ < kFailuresToAvoid) return;
  if (failures_in_row_ == kFailuresToAvoid) {
    counters_.down.Set(1);
    probe_at_ = now + probe_after_;
    PHAROS_LOG(kWarn, "agent.dns",
               "Recursor does not answer and is passed over until it does: address=%s",
               upstream_.ToString());
  }
}

bool UpstreamHealth::TakeProbe(absl::Time now) {
  if (!down() || now < probe_at_) return false;
  probe_after_ = std::min(probe_after_ * 2, kProbeAfterMax);
  probe_at_ = now + probe_after_;
  return true;
}

void UpstreamHealth::NoteLoop(bool is_looping) {
  if (is_looping && !looping()) {
    PHAROS_LOG(kWarn, "agent.dns",
               "Recursor passes our questions back to us and is not asked while it does: "
               "address=%s",
               upstream_.ToString());
  }
  counters_.looping.Set(is_looping ? 1 : 0);
}

bool UpstreamHealth::TakeLoopProbe(absl::Time now) {
  if (now < loop_probe_at_) return false;
  loop_probe_at_ = now + kLoopProbeInterval;
  return true;
}

}  // namespace pharos::dns
