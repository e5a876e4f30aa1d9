// Passing an absl::Status up, so that every result is looked at.
#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"

// Returns from the enclosing function when `expression` (an absl::Status) is not OK.
#define RETURN_IF_ERROR(expression)                                                           \
  do {                                                                                        \
    if (absl::Status pharos_status = (expression); !pharos_status.ok()) return pharos_status; \
  } while (false)

// Evaluates `expression` (an absl::StatusOr), returns its status on error, else moves its value
// into `target`, which may be a declaration.
#define ASSIGN_OR_RETURN(target, expression) \
  PHAROS_ASSIGN_OR_RETURN_(PHAROS_CONCAT_(pharos_result_, __LINE__), target, expression)
// NOLINTBEGIN(bugprone-macro-parentheses): a declaration cannot stand in parentheses.
#define PHAROS_ASSIGN_OR_RETURN_(result, target, expression) \
  auto result = (expression);                                \
  if (!result.ok()) return std::move(result).status();       \
  target = *std::move(result)
// NOLINTEND(bugprone-macro-parentheses)
#define PHAROS_CONCAT_(a, b) PHAROS_CONCAT_INNER_(a, b)
#define PHAROS_CONCAT_INNER_(a, b) a##b
