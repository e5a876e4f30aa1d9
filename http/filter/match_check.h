// Whether a comparison makes sense for a schema: its selector, its operator, its value.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "http/filter/filter.h"
#include "http/filter/schema.h"

namespace pharos::http {

// A comparison as it was written.
struct WrittenMatch {
  std::vector<std::string> selector;  // At least one part.
  FilterOperator op = FilterOperator::kEqual;
  bool negated = false;
  std::string value;  // Without its quotes; empty for kIsEmpty, which takes none.
};

// Octets that one regular expression may take, for its program and its automata.
inline constexpr int64_t kFilterRegexOctetsMax = 262'144;

// Finds the field and converts the value to its kind. InvalidArgument when the schema has no such
// selector, the operator does not fit the field, the value is not of its kind, or a regular
// expression (RE2) is malformed or too large.
absl::StatusOr<FilterMatch> CheckMatch(const FilterSchema& schema, WrittenMatch written);

}  // namespace pharos::http
