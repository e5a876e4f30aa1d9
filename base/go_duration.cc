#include "base/go_duration.h"

#include <cstdint>
#include <optional>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace pharos {
namespace {

// The largest magnitude: that of the most negative 64-bit number of nanoseconds.
constexpr uint64_t kMagnitudeMax = uint64_t{1} << 63;

absl::Status Invalid(std::string_view text) {
  return absl::InvalidArgumentError(
      absl::StrFormat("time: invalid duration \"%s\"", absl::CHexEscape(std::string(text))));
}

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

std::optional<uint64_t> UnitNanoseconds(std::string_view unit) {
  if (unit == "ns") return 1;
  // The micro sign U+00B5 and the Greek letter mu U+03BC.
  if (unit == "us" || unit == "\xc2\xb5s" || unit == "\xce\xbcs") return 1'000;
  if (unit == "ms") return 1'000'000;
  if (unit == "s") return 1'000'000'000;
  if (unit == "m") return 60'000'000'000;
  if (unit == "h") return 3'600'000'000'000;
  return std::nullopt;
}

// The digits in front of a unit: whole + fraction / scale.
struct Number {
  uint64_t whole = 0;
  uint64_t fraction = 0;
  double scale = 1;
};

// Takes a number off the front of `rest`; nullopt when there is none or it is too large.
std::optional<Number> TakeNumber(std::string_view& rest) {
  Number number;
  size_t digits = 0;
  while (!rest.empty() && IsDigit(rest[0])) {
    if (number.whole > kMagnitudeMax / 10) return std::nullopt;
    number.whole = number.whole * 10 + static_cast<uint64_t>(rest[0] - '0');
    if (number.whole > kMagnitudeMax) return std::nullopt;
    rest.remove_prefix(1);
    ++digits;
  }
  if (!rest.empty() && rest[0] == '.') {
    rest.remove_prefix(1);
    while (!rest.empty() && IsDigit(rest[0])) {
      // Digits beyond what 64 bits hold are below a nanosecond and change nothing.
      if (number.fraction < kMagnitudeMax / 10 - 1) {
        number.fraction = number.fraction * 10 + static_cast<uint64_t>(rest[0] - '0');
        number.scale *= 10;
      }
      rest.remove_prefix(1);
      ++digits;
    }
  }
  if (digits == 0) return std::nullopt;
  return number;
}

std::string_view TakeUnit(std::string_view& rest) {
  size_t length = 0;
  while (length < rest.size() && rest[length] != '.' && !IsDigit(rest[length])) ++length;
  const std::string_view unit = rest.substr(0, length);
  rest.remove_prefix(length);
  return unit;
}

// `value` / 10^`decimals` without trailing zeros: 1500 with 3 decimals is 1.5.
std::string Decimal(uint64_t value, int decimals) {
  uint64_t power = 1;
  for (int i = 0; i < decimals; ++i) power *= 10;
  std::string text = absl::StrCat(value / power);
  uint64_t fraction = value % power;
  if (fraction == 0) return text;
  while (fraction % 10 == 0) {
    fraction /= 10;
    --decimals;
  }
  return absl::StrFormat("%s.%0*d", text, decimals, fraction);
}

}  // namespace

absl::StatusOr<absl::Duration> ParseGoDuration(std::string_view text) {
  std::string_view rest = text;
  const bool negative = !rest.empty() && rest[0] == '-';
  if (!rest.empty() && (rest[0] == '-' || rest[0] == '+')) rest.remove_prefix(1);
  if (rest == "0") return absl::ZeroDuration();
  if (rest.empty()) return Invalid(text);

  uint64_t total = 0;
  while (!rest.empty()) {
    const std::optional<Number> number = TakeNumber(rest);
    if (!number) return Invalid(text);
    const std::string_view unit_text = TakeUnit(rest);
    if (unit_text.empty()) {
      return absl::InvalidArgumentError(absl::StrFormat("time: missing unit in duration \"%s\"",
                                                        absl::CHexEscape(std::string(text))));
    }
    const std::optional<uint64_t> unit = UnitNanoseconds(unit_text);
    if (!unit) {
      return absl::InvalidArgumentError(absl::StrFormat(
          "time: unknown unit \"%s\" in duration \"%s\"", absl::CHexEscape(std::string(unit_text)),
          absl::CHexEscape(std::string(text))));
    }
    if (number->whole > kMagnitudeMax / *unit) return Invalid(text);
    // A fraction is below one unit, so this neither wraps nor leaves the range of a double.
    const auto part = static_cast<uint64_t>(static_cast<double>(number->fraction) *
                                            (static_cast<double>(*unit) / number->scale));
    total += number->whole * *unit + part;
    if (total > kMagnitudeMax) return Invalid(text);
  }
  // In two steps, as the most negative duration has no positive counterpart.
  if (negative) return -absl::Nanoseconds(static_cast<int64_t>(total - 1)) - absl::Nanoseconds(1);
  if (total > kMagnitudeMax - 1) return Invalid(text);
  return absl::Nanoseconds(static_cast<int64_t>(total));
}

std::string FormatGoDuration(absl::Duration duration) {
  const int64_t nanoseconds = absl::ToInt64Nanoseconds(duration);
  if (nanoseconds == 0) return "0s";
  const std::string sign = nanoseconds < 0 ? "-" : "";
  const uint64_t magnitude = nanoseconds < 0 ? ~static_cast<uint64_t>(nanoseconds) + 1
                                             : static_cast<uint64_t>(nanoseconds);
  if (magnitude < 1'000) return absl::StrCat(sign, magnitude, "ns");
  if (magnitude < 1'000'000) return absl::StrCat(sign, Decimal(magnitude, 3), "\xc2\xb5s");
  if (magnitude < 1'000'000'000) return absl::StrCat(sign, Decimal(magnitude, 6), "ms");
  constexpr uint64_t kMinute = 60'000'000'000;
  std::string text = absl::StrCat(Decimal(magnitude % kMinute, 9), "s");
  const uint64_t minutes = magnitude / kMinute;
  if (minutes > 0) text = absl::StrCat(minutes % 60, "m", text);
  if (minutes >= 60) text = absl::StrCat(minutes / 60, "h", text);
  return absl::StrCat(sign, text);
}

}  // namespace pharos
