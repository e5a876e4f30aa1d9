// How many results in a row it takes to move a check's status, so that one lost packet does not.
#pragma once

#include <optional>

#include "agent/config/definition.h"
#include "registry/types.h"

namespace pharos::agent {

class Thresholds {
 public:
  // Of a definition: success_before_passing, failures_before_warning (not given: as the next) and
  // failures_before_critical; each counts from 1, and 0 is 1.
  explicit Thresholds(const CheckDefinition& definition);

  // Takes the result of one run and returns the status the check moves to, or nullopt when too few
  // in a row say so. A warning counts with the successes, and moves the status to warning. Enough
  // failures for warning but not for critical make a warning.
  std::optional<registry::Health> Take(registry::Health result);

 private:
  int success_before_passing_;
  int failures_before_warning_;
  int failures_before_critical_;
  int successes_ = 0;  // In a row; counting stops at the threshold.
  int failures_ = 0;
};

}  // namespace pharos::agent
