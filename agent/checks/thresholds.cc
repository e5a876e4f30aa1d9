#include "agent/checks/thresholds.h"

#include <algorithm>

namespace pharos::agent {

using registry::Health;

Thresholds::Thresholds(const CheckDefinition& definition)
    : success_before_passing_(definition.success_before_passing),
      failures_before_warning_(definition.failures_before_warning > 0
                                   ? definition.failures_before_warning
                                   : definition.failures_before_critical),
      failures_before_critical_(definition.failures_before_critical) {}

std::optional<Health> Thresholds::Take(Health result) {
  if (result != Health::kCritical) {
    failures_ = 0;
    successes_ = std::min(successes_, success_before_passing_) + 1;
    if (successes_ >= success_before_passing_) return result;
    return std::nullopt;
  }
  successes_ = 0;
  failures_ =
      std::min(failures_, std::max(failures_before_warning_, failures_before_critical_)) + 1;
  if (failures_ >= failures_before_critical_) return Health::kCritical;
  if (failures_ >= failures_before_warning_) return Health::kWarning;
  return std::nullopt;
}

}  // namespace pharos::agent
