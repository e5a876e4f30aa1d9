// A filter expression that was parsed and checked against a schema, ready to be asked of records.
// Immutable: any number of threads may ask it at once. It borrows its schema, which is a constant.
#pragma once

#include <re2/re2.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "http/filter/schema.h"

namespace pharos::http {

enum class FilterOperator : uint8_t { kEqual, kIn, kIsEmpty, kMatches };

// One step of a selector: a field, and for a map the key that stands behind it.
struct FilterStep {
  const FilterFieldEntry* field = nullptr;
  std::optional<std::string> key;
};

// A comparison. The path has at least one step, and its last field is of a kind that the operator
// fits.
struct FilterMatch {
  std::vector<FilterStep> path;
  FilterOperator op = FilterOperator::kEqual;
  bool negated = false;  // `!=`, `not in` ...
  // The value, in the form that the field's kind and the operator ask for.
  std::string text;
  int64_t integer = 0;
  bool boolean = false;
  std::unique_ptr<const re2::RE2> regex;
};

struct FilterNode {
  enum class Kind : uint8_t { kMatch, kAll, kAny };
  Kind kind = Kind::kAll;
  bool negated = false;
  FilterMatch match;                 // Of kMatch.
  std::vector<FilterNode> children;  // Of kAll, which is true without any, and kAny.
};

// Whether the record fits; `record` is of the type that the expression was checked against. Takes
// time in proportion to the expression and the texts it looks at, and cannot fail.
bool MatchesRecord(const FilterNode& node, const void* record);

template <typename Record>
class Filter {
 public:
  explicit Filter(FilterNode root) : root_(std::move(root)) {}

  bool Matches(const Record& record) const { return MatchesRecord(root_, &record); }

 private:
  FilterNode root_;
};

}  // namespace pharos::http
