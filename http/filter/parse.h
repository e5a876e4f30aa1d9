// The language of the HTTP API's `filter` parameter:
//
//   expr     := and ( "or" and )*
//   and      := not ( "and" not )*
//   not      := "not" not | "(" expr ")" | match
//   match    := selector "==" value | selector "!=" value
//             | selector "is" "empty" | selector "is" "not" "empty"
//             | value "in" selector | value "not" "in" selector
//             | selector "contains" value | selector "not" "contains" value
//             | selector "matches" value | selector "not" "matches" value
//   selector := ident ( "." ident | "[" string "]" )*
//   value    := string | number | selector
//
// A selector names a field of the records asked, and behind a map its key: `Meta.env`,
// `Meta["a-b"]`. A value may be a bare word. On text, `in` looks for a part of it, `==` for the
// whole, `matches` for a place where a regular expression (RE2) fits; in a list `in` looks for a
// member, in a map for a key. A key that a map does not have equals nothing and is empty. Of a list
// of records, one that fits is enough.
#pragma once

#include <cstddef>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "base/status_macros.h"
#include "http/filter/filter.h"
#include "http/filter/schema.h"

namespace pharos::http {

inline constexpr size_t kFilterOctetsMax = 16'384;
inline constexpr size_t kFilterMatchesMax = 1'000;  // Comparisons.
inline constexpr size_t kFilterRegexesMax = 16;
inline constexpr size_t kFilterDepthMax = 64;  // Parentheses in one another.

// The expression as a tree. Empty text is no filter: every record fits. InvalidArgument for text
// that is too long or malformed, then with its line and column, and for a comparison that makes no
// sense for the schema (http/filter/match_check.h).
absl::StatusOr<FilterNode> ParseFilterNode(std::string_view text, const FilterSchema& schema);

template <typename Record>
absl::StatusOr<Filter<Record>> ParseFilter(std::string_view text,
                                           const RecordSchema<Record>& schema) {
  ASSIGN_OR_RETURN(FilterNode root, ParseFilterNode(text, schema));
  return Filter<Record>(std::move(root));
}

}  // namespace pharos::http
