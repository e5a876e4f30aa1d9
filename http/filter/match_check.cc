#include "http/filter/match_check.h"

#include <charconv>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"

namespace pharos::http {
namespace {

// Errors show this much of what a client sent.
constexpr size_t kShownOctetsMax = 256;

std::string Quoted(std::string_view text) {
  const bool whole = text.size() <= kShownOctetsMax;
  const std::string shown(text.substr(0, kShownOctetsMax));
  return absl::StrFormat("\"%s%s\"", absl::CEscape(shown), whole ? "" : "...");
}

std::string QuotedSelector(const std::vector<std::string>& parts) {
  return Quoted(absl::StrJoin(parts, "."));
}

absl::Status UnknownSelector(std::vector<std::string> parts, size_t known) {
  parts.resize(known + 1);
  return absl::InvalidArgumentError(
      absl::StrFormat("Selector %s is not valid", QuotedSelector(parts)));
}

// The records below a field, or null: its parts have no names in the schema.
const FilterSchema* SchemaBelow(const FilterFieldEntry& field) {
  if (const auto* access = std::get_if<RecordAccess>(&field.access)) return access->schema;
  if (const auto* access = std::get_if<RecordMapAccess>(&field.access)) return access->schema;
  if (const auto* access = std::get_if<RecordListAccess>(&field.access)) return access->schema;
  return nullptr;
}

bool HasKeys(const FilterFieldEntry& field) {
  return std::holds_alternative<MapAccess>(field.access) ||
         std::holds_alternative<RecordMapAccess>(field.access);
}

absl::StatusOr<std::vector<FilterStep>> ResolveSelector(const FilterSchema& schema,
                                                        const std::vector<std::string>& parts) {
  std::vector<FilterStep> path;
  const FilterSchema* below = &schema;
  for (size_t i = 0; i < parts.size(); ++i) {
    const FilterFieldEntry* field = below == nullptr ? nullptr : below->Find(parts[i]);
    if (field == nullptr) return UnknownSelector(parts, i);
    FilterStep& step = path.emplace_back(FilterStep{field, std::nullopt});
    if (HasKeys(*field) && i + 1 < parts.size()) step.key = parts[++i];
    below = SchemaBelow(*field);
  }
  return path;
}

bool IsOneOf(FilterOperator op, std::initializer_list<FilterOperator> fitting) {
  for (const FilterOperator candidate : fitting) {
    if (op == candidate) return true;
  }
  return false;
}

// A text here is also what a key of a map leads to.
bool IsText(const FilterStep& last) {
  return std::holds_alternative<TextAccess>(last.field->access) ||
         (std::holds_alternative<MapAccess>(last.field->access) && last.key.has_value());
}

bool Fits(FilterOperator op, const FilterStep& last) {
  using enum FilterOperator;
  const auto& access = last.field->access;
  if (IsText(last)) return true;
  if (std::holds_alternative<RecordListAccess>(access)) return op == kIsEmpty;
  if (std::holds_alternative<ListAccess>(access) || (HasKeys(*last.field) && !last.key)) {
    return IsOneOf(op, {kIn, kIsEmpty});
  }
  if (SchemaBelow(*last.field) != nullptr) return false;
  return op == kEqual;
}

std::string_view OperatorName(FilterOperator op, bool negated) {
  switch (op) {
    case FilterOperator::kEqual:
      return negated ? "Not Equal" : "Equal";
    case FilterOperator::kIn:
      return negated ? "Not In" : "In";
    case FilterOperator::kIsEmpty:
      return negated ? "Is Not Empty" : "Is Empty";
    case FilterOperator::kMatches:
      return negated ? "Not Matches" : "Matches";
  }
  return "";
}

// Cuts the prefix of a base off, as numbers are written in Go.
int TakeBase(std::string_view& digits) {
  if (digits.size() < 2 || digits[0] != '0') return 10;
  const char letter = digits[1];
  const int base = letter == 'x' || letter == 'X' ? 16 : letter == 'b' || letter == 'B' ? 2 : 8;
  digits.remove_prefix(base == 8 && letter != 'o' && letter != 'O' ? 1 : 2);
  return base;
}

std::optional<int64_t> ParseInteger(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  const int base = TakeBase(text);
  uint64_t magnitude = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), magnitude, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  const auto max = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  if (magnitude > max + (negative ? 1 : 0)) return std::nullopt;
  return static_cast<int64_t>(negative ? 0 - magnitude : magnitude);
}

std::optional<bool> ParseBool(std::string_view text) {
  for (const std::string_view word : {"1", "t", "T", "true", "TRUE", "True"}) {
    if (text == word) return true;
  }
  for (const std::string_view word : {"0", "f", "F", "false", "FALSE", "False"}) {
    if (text == word) return false;
  }
  return std::nullopt;
}

absl::Status NotCoerced(const WrittenMatch& written, std::string_view expected) {
  return absl::InvalidArgumentError(
      absl::StrFormat("Failed to coerce value %s for selector %s: expected %s",
                      Quoted(written.value), QuotedSelector(written.selector), expected));
}

absl::StatusOr<std::unique_ptr<const re2::RE2>> CompileRegex(const std::string& pattern) {
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kFilterRegexOctetsMax);
  auto regex = std::make_unique<const re2::RE2>(pattern, options);
  if (regex->ok()) return regex;
  return absl::InvalidArgumentError(absl::StrFormat("Failed to compile regular expression %s: %s",
                                                    Quoted(pattern), Quoted(regex->error())));
}

absl::Status ConvertValue(WrittenMatch& written, FilterMatch& match) {
  const auto& access = match.path.back().field->access;
  if (match.op == FilterOperator::kMatches) {
    ASSIGN_OR_RETURN(match.regex, CompileRegex(written.value));
  } else if (std::holds_alternative<IntegerAccess>(access)) {
    const std::optional<int64_t> integer = ParseInteger(written.value);
    if (!integer) return NotCoerced(written, "an integer of 64 bits");
    match.integer = *integer;
  } else if (std::holds_alternative<BoolAccess>(access)) {
    const std::optional<bool> boolean = ParseBool(written.value);
    if (!boolean) return NotCoerced(written, "true or false");
    match.boolean = *boolean;
  } else {
    match.text = std::move(written.value);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<FilterMatch> CheckMatch(const FilterSchema& schema, WrittenMatch written) {
  FilterMatch match;
  match.op = written.op;
  match.negated = written.negated;
  ASSIGN_OR_RETURN(match.path, ResolveSelector(schema, written.selector));
  if (!Fits(match.op, match.path.back())) {
    return absl::InvalidArgumentError(
        absl::StrFormat("Invalid match operator \"%s\" for selector %s",
                        OperatorName(match.op, match.negated), QuotedSelector(written.selector)));
  }
  RETURN_IF_ERROR(ConvertValue(written, match));
  return match;
}

}  // namespace pharos::http
