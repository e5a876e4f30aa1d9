// The `filter` parameter of reads.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "http/filter/filter.h"
#include "http/filter/parse.h"

namespace pharos::http {

// Null: everything fits. Shared by the copies of the Reading it belongs to.
template <typename Record>
using ReadFilter = std::shared_ptr<const Filter<Record>>;

// An error is Internal, which Consul answers it with.
template <typename Record>
absl::StatusOr<ReadFilter<Record>> ParseReadFilter(const std::string& expression,
                                                   const RecordSchema<Record>& schema) {
  if (expression.empty()) return ReadFilter<Record>();
  absl::StatusOr<Filter<Record>> filter = ParseFilter(expression, schema);
  if (filter.ok()) return std::make_shared<const Filter<Record>>(*std::move(filter));
  return absl::InternalError(absl::StrFormat("Failed to create boolean expression evaluator: %s",
                                             std::string(filter.status().message())));
}

template <typename Record>
bool Fits(const ReadFilter<Record>& filter, const Record& record) {
  return filter == nullptr || filter->Matches(record);
}

}  // namespace pharos::http
