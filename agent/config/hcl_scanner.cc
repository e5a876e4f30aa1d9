#include "agent/config/hcl_scanner.h"

#include <charconv>
#include <cmath>
#include <optional>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status_macros.h"

namespace pharos::agent {
namespace {

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }

bool IsWordOctet(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '.' ||
         static_cast<unsigned char>(c) >= 0x80;
}

// Appends a code point as UTF-8 (RFC 3629). False: a surrogate, or beyond U+10FFFF.
bool AppendUtf8(uint32_t point, std::string& text) {
  if (point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff)) return false;
  const auto tail = [&](int shift) {
    text.push_back(static_cast<char>(0x80 | ((point >> shift) & 0x3f)));
  };
  if (point < 0x80) {
    text.push_back(static_cast<char>(point));
  } else if (point < 0x800) {
    text.push_back(static_cast<char>(0xc0 | (point >> 6)));
    tail(0);
  } else if (point < 0x10000) {
    text.push_back(static_cast<char>(0xe0 | (point >> 12)));
    tail(6);
    tail(0);
  } else {
    text.push_back(static_cast<char>(0xf0 | (point >> 18)));
    tail(12);
    tail(6);
    tail(0);
  }
  return true;
}

// What the octet after a backslash stands for, where it stands for one octet.
std::optional<char> SimpleEscape(char c) {
  switch (c) {
    case 'a':
      return '\a';
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'v':
      return '\v';
    case '\\':
    case '"':
      return c;
    default:
      return std::nullopt;
  }
}

size_t LeadingBlanks(std::string_view line) {
  size_t count = 0;
  while (count < line.size() && (line[count] == ' ' || line[count] == '\t')) ++count;
  return count;
}

// The text of a `<<-` heredoc: without the closing marker's indent when every line that is not
// empty has it, else as it was written.
std::string JoinUnindented(const std::vector<std::string_view>& lines, std::string_view indent) {
  bool all_indented = true;
  for (const std::string_view line : lines) {
    if (!line.starts_with(indent) && LeadingBlanks(line) + 1 < line.size()) all_indented = false;
  }
  std::string text;
  for (const std::string_view line : lines) {
    const size_t cut = all_indented ? std::min(indent.size(), LeadingBlanks(line)) : 0;
    text.append(line.substr(cut));
  }
  return text;
}

}  // namespace

void HclScanner::Advance(size_t octets) {
  for (; octets > 0 && !AtEnd(); --octets, ++offset_) {
    if (text_[offset_] == '\n') {
      ++position_.line;
      position_.column = 1;
    } else {
      ++position_.column;
    }
  }
}

absl::Status HclScanner::Error(const Position& at, std::string_view message) const {
  return absl::InvalidArgumentError(AtPosition(source_name_, at, message));
}

std::string HclScanner::DescribeNext() const {
  if (AtEnd()) return "end of file";
  size_t length = 0;
  while (length < 24 && IsWordOctet(Peek(length))) ++length;
  const std::string_view shown = rest().substr(0, length == 0 ? 1 : length);
  return absl::StrCat("\"", absl::Utf8SafeCHexEscape(std::string(shown)), "\"");
}

absl::Status HclScanner::SkipBlanks() {
  while (!AtEnd()) {
    if (IsBlank(Peek())) {
      Advance();
    } else if (Peek() == '#' || (Peek() == '/' && Peek(1) == '/')) {
      TakeLine();
    } else if (Peek() == '/' && Peek(1) == '*') {
      const size_t end = rest().find("*/", 2);
      if (end == std::string_view::npos) {
        return Error(position_, "this comment does not end; expected */");
      }
      Advance(end + 2);
    } else {
      break;
    }
  }
  return absl::OkStatus();
}

std::string_view HclScanner::TakeLine() {
  const size_t end = rest().find('\n');
  const std::string_view line = rest().substr(0, end == std::string_view::npos ? end : end + 1);
  Advance(line.size());
  return line;
}

bool HclScanner::AtWord() const { return IsWordOctet(Peek()) && !AtEnd(); }

std::string_view HclScanner::TakeWord() {
  size_t length = 0;
  while (IsWordOctet(Peek(length)) && length < rest().size()) ++length;
  const std::string_view word = rest().substr(0, length);
  Advance(length);
  return word;
}

absl::StatusOr<std::string> HclScanner::TakeQuoted() {
  const Position start = position_;
  Advance();
  std::string text;
  int braces = 0;  // Inside ${...} a quote does not end the text, nor does a backslash escape.
  while (true) {
    const char c = Peek();
    if (AtEnd() || (c == '\n' && braces == 0)) {
      return Error(start, "this text does not end; expected a closing \" on the same line");
    }
    if (c == '\0') return Error(position_, "a NUL inside a text; expected text");
    if (c == '"' && braces == 0) break;
    if (c == '\\' && braces == 0) {
      RETURN_IF_ERROR(TakeEscape(text));
      continue;
    }
    if (c == '{' && (braces > 0 || text.ends_with('$'))) ++braces;
    if (c == '}' && braces > 0) --braces;
    text.push_back(c);
    Advance();
  }
  Advance();
  return text;
}

absl::Status HclScanner::TakeEscape(std::string& text) {
  const Position start = position_;
  const char kind = Peek(1);
  if (const std::optional<char> octet = SimpleEscape(kind)) {
    text.push_back(*octet);
    Advance(2);
    return absl::OkStatus();
  }
  const bool octal = kind >= '0' && kind <= '7';
  if (!octal && kind != 'x' && kind != 'u' && kind != 'U') {
    return Error(start, "an unknown escape; expected \\\\ \\\" \\n \\t \\r \\xNN or \\uNNNN");
  }
  Advance(octal ? 1 : 2);
  absl::StatusOr<uint32_t> point = octal ? TakeCodePoint(8, 3)
                                         : TakeCodePoint(16, kind == 'x'   ? 2
                                                             : kind == 'u' ? 4
                                                                           : 8);
  if (!point.ok()) return point.status();
  // An octet beyond ASCII by its number would make text that is not UTF-8.
  if ((octal || kind == 'x') && *point >= 0x80) {
    return Error(start, "an escape beyond ASCII; expected \\uNNNN for such a character");
  }
  if (*point == 0 || !AppendUtf8(*point, text)) {
    return Error(start, "this escape names no character");
  }
  return absl::OkStatus();
}

absl::StatusOr<uint32_t> HclScanner::TakeCodePoint(int base, int digits) {
  const std::string_view number = rest().substr(0, static_cast<size_t>(digits));
  uint32_t point = 0;
  const auto [end, error] =
      std::from_chars(number.data(), number.data() + number.size(), point, base);
  if (error != std::errc() || end != number.data() + digits) {
    return Error(position_,
                 absl::StrFormat("expected %d digits of base %d in an escape", digits, base));
  }
  Advance(static_cast<size_t>(digits));
  return point;
}

absl::StatusOr<std::string> HclScanner::TakeHeredoc() {
  const Position start = position_;
  Advance(2);
  const bool unindent = Peek() == '-';
  if (unindent) Advance();
  const std::string_view marker = TakeWord();
  const std::string_view line_end = TakeLine();
  if (marker.empty() || line_end.find_first_not_of(" \t\r\n") != std::string_view::npos ||
      !line_end.ends_with('\n')) {
    return Error(start, "a heredoc without its marker; expected <<MARKER and a line end");
  }
  std::vector<std::string_view> lines;
  while (!AtEnd()) {
    const std::string_view line = rest().substr(0, rest().find('\n'));
    const size_t indent = LeadingBlanks(line);
    std::string_view word = line.substr(indent);
    while (word.ends_with('\r')) word.remove_suffix(1);
    if (word == marker) {
      Advance(line.size());  // Its line end is a blank like any other.
      return JoinUnindented(lines, unindent ? line.substr(0, indent) : std::string_view());
    }
    lines.push_back(TakeLine());
  }
  return Error(start,
               absl::StrFormat("this heredoc does not end; expected a line with %s", marker));
}

absl::StatusOr<Value> HclScanner::TakeNumber() {
  const Position start = position_;
  size_t length = Peek() == '-' ? 1 : 0;
  while (IsWordOctet(Peek(length)) || (Peek(length) == '+' && length > 0 &&
                                       (Peek(length - 1) == 'e' || Peek(length - 1) == 'E'))) {
    ++length;
  }
  const std::string_view word = rest().substr(0, length);
  const bool negative = word.starts_with('-');
  std::string_view digits = word.substr(negative ? 1 : 0);

  int base = 10;
  if (digits.starts_with("0x") || digits.starts_with("0X")) {
    base = 16;
    digits.remove_prefix(2);
  } else if (digits.size() > 1 && digits[0] == '0' &&
             digits.find_first_of(".eE") == std::string_view::npos) {
    base = 8;
    digits.remove_prefix(1);
  }
  if (!digits.empty() && digits[0] != '-') {
    uint64_t magnitude = 0;
    const char* last = digits.data() + digits.size();
    const auto whole = std::from_chars(digits.data(), last, magnitude, base);
    const uint64_t largest = (uint64_t{1} << 63) - (negative ? 0 : 1);
    if (whole.ec == std::errc() && whole.ptr == last && magnitude <= largest) {
      Advance(length);
      return Value::Int(start, static_cast<int64_t>(negative ? ~magnitude + 1 : magnitude));
    }
    double number = 0;
    const auto real = std::from_chars(digits.data(), last, number);
    const bool has_point = digits.find_first_of(".eE") != std::string_view::npos;
    if (base == 10 && has_point && real.ec == std::errc() && real.ptr == last &&
        (IsDigit(digits[0]) || digits[0] == '.')) {
      Advance(length);
      return Value::Float(start, negative ? -number : number);
    }
  }
  return Error(start, absl::StrFormat("%s is not a number; expected a whole number, a decimal "
                                      "number, or a text in quotes such as \"%s\"",
                                      DescribeNext(), word.substr(0, 24)));
}

}  // namespace pharos::agent
