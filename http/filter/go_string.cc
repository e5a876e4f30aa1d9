#include "http/filter/go_string.h"

#include <charconv>
#include <cstdint>

namespace pharos::http {
namespace {

constexpr std::string_view kLetters = "abfnrtv\\\"";
constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v\\\"";

// All of `digits`, which has to be `count` long, as a number.
std::optional<uint32_t> ReadDigits(std::string_view digits, size_t count, int base) {
  uint32_t value = 0;
  if (digits.size() < count) return std::nullopt;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + count, value, base);
  if (error != std::errc() || end != digits.data() + count) return std::nullopt;
  return value;
}

// RFC 3629 section 3; false for what is no character: surrogates and beyond the last plane.
bool AppendUtf8(uint32_t character, std::string& out) {
  if (character > 0x10FFFF || (character >= 0xD800 && character < 0xE000)) return false;
  const int following = character < 0x80 ? 0 : character < 0x800 ? 1 : character < 0x10000 ? 2 : 3;
  constexpr uint32_t kLeads[] = {0x00, 0xC0, 0xE0, 0xF0};
  out.push_back(static_cast<char>(kLeads[following] | (character >> (6 * following))));
  for (int i = following - 1; i >= 0; --i) {
    out.push_back(static_cast<char>(0x80 | ((character >> (6 * i)) & 0x3F)));
  }
  return true;
}

// One octet by its number in digits.
std::optional<size_t> AppendOctet(std::string_view digits, size_t count, int base,
                                  std::string& out) {
  const std::optional<uint32_t> octet = ReadDigits(digits, count, base);
  if (!octet || *octet > 0xFF) return std::nullopt;
  out.push_back(static_cast<char>(*octet));
  return count;
}

std::optional<size_t> AppendCharacter(std::string_view digits, size_t count, std::string& out) {
  const std::optional<uint32_t> character = ReadDigits(digits, count, 16);
  if (!character || !AppendUtf8(*character, out)) return std::nullopt;
  return count;
}

// The escape behind its backslash; its length without it.
std::optional<size_t> AppendUnslashed(std::string_view text, std::string& out) {
  if (text.empty()) return std::nullopt;
  const char letter = text.front();
  if (const size_t at = kLetters.find(letter); at != std::string_view::npos) {
    out.push_back(kMeanings[at]);
    return 1;
  }
  if (letter >= '0' && letter <= '7') return AppendOctet(text, 3, 8, out);
  std::optional<size_t> digits;
  if (letter == 'x') digits = AppendOctet(text.substr(1), 2, 16, out);
  if (letter == 'u') digits = AppendCharacter(text.substr(1), 4, out);
  if (letter == 'U') digits = AppendCharacter(text.substr(1), 8, out);
  if (!digits) return std::nullopt;
  return *digits + 1;
}

}  // namespace

std::optional<size_t> AppendGoEscape(std::string_view text, std::string& out) {
  const std::optional<size_t> length = AppendUnslashed(text.substr(1), out);
  if (!length) return std::nullopt;
  return *length + 1;
}

}  // namespace pharos::http
