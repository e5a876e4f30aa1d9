#include "cluster/gossip/suspicion.h"

#include <algorithm>
#include <cmath>

namespace pharos::gossip {

Suspicion::Suspicion(const Profile& profile, size_t nodes, std::string_view accuser, absl::Time now)
    : start_(now), accusers_{std::string(accuser)} {
  const double scale = std::max(1.0, std::log10(std::max(1.0, static_cast<double>(nodes))));
  // In thousandths, as members of other programs count.
  min_ = profile.suspicion_multiplier * profile.probe_interval *
         static_cast<int64_t>(scale * 1000) / 1000;
  max_ = min_ * profile.suspicion_max_multiplier;
  const int wanted = profile.suspicion_multiplier - 2;
  const bool enough = static_cast<int64_t>(nodes) - 2 >= wanted;
  confirmations_max_ = wanted > 0 && enough ? static_cast<size_t>(wanted) : 0;
}

bool Suspicion::Confirm(std::string_view accuser) {
  if (confirmations() >= confirmations_max_) return false;
  return accusers_.insert(std::string(accuser)).second;
}

absl::Time Suspicion::deadline() const {
  if (confirmations_max_ == 0) return start_ + min_;
  const double share = std::log(static_cast<double>(confirmations()) + 1) /
                       std::log(static_cast<double>(confirmations_max_) + 1);
  const double milliseconds =
      absl::ToDoubleMilliseconds(max_) - share * absl::ToDoubleMilliseconds(max_ - min_);
  return start_ + std::max(min_, absl::Milliseconds(std::floor(milliseconds)));
}

}  // namespace pharos::gossip
