#include "http/filter/scanner.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/status_macros.h"
#include "http/filter/go_string.h"

namespace pharos::http {
namespace {

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool IsWordPart(char c) { return IsLetter(c) || IsDigit(c) || c == '_'; }
bool BeginsCharacter(char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }

}  // namespace

void FilterScanner::SkipBlanks() { TakeWhile(&IsBlank); }

std::string_view FilterScanner::TakeWhile(bool (*fits)(char)) {
  const size_t start = position_;
  while (position_ < text_.size() && fits(text_[position_])) ++position_;
  return text_.substr(start, position_ - start);
}

bool FilterScanner::AtEnd() {
  SkipBlanks();
  return position_ == text_.size();
}

bool FilterScanner::TakeSymbol(std::string_view symbol) {
  SkipBlanks();
  if (!text_.substr(position_).starts_with(symbol)) return false;
  position_ += symbol.size();
  return true;
}

bool FilterScanner::TakeWord(std::string_view word) {
  SkipBlanks();
  const std::string_view rest = text_.substr(position_);
  if (!rest.starts_with(word)) return false;
  if (rest.size() > word.size() && IsWordPart(rest[word.size()])) return false;
  position_ += word.size();
  return true;
}

bool FilterScanner::AtIdentifier() {
  SkipBlanks();
  return IsLetter(Peek());
}

absl::StatusOr<std::vector<std::string>> FilterScanner::ReadSelector() {
  if (!AtIdentifier()) return Expected("selector");
  std::vector<std::string> parts;
  parts.emplace_back(TakeWhile(&IsWordPart));
  while (Peek() == '.' || Peek() == '[') {
    if (Peek() == '[') {
      ASSIGN_OR_RETURN(parts.emplace_back(), ReadIndex());
      continue;
    }
    ++position_;
    parts.emplace_back(TakeWhile(IsDigit(Peek()) ? &IsDigit : &IsWordPart));
    if (parts.back().empty() || parts.back().front() == '_') return Expected("[a-zA-Z] or [0-9]");
  }
  return parts;
}

absl::StatusOr<std::string> FilterScanner::ReadIndex() {
  ++position_;
  SkipBlanks();
  if (Peek() != '"' && Peek() != '`') return ErrorHere("Invalid index");
  ASSIGN_OR_RETURN(std::string key, ReadString());
  if (!TakeSymbol("]")) return ErrorHere("Unclosed index expression");
  return key;
}

absl::StatusOr<std::string> FilterScanner::ReadValue() {
  SkipBlanks();
  const char first = Peek();
  if (first == '"' || first == '`') return ReadString();
  if (first == '-' || IsDigit(first)) return ReadNumber();
  if (!IsLetter(first)) return Expected("value: \"string\", `string`, number or word");
  ASSIGN_OR_RETURN(const std::vector<std::string> parts, ReadSelector());
  return absl::StrJoin(parts, ".");
}

absl::StatusOr<std::string> FilterScanner::ReadNumber() {
  const size_t start = position_;
  if (Peek() == '-') ++position_;
  const std::string_view whole = TakeWhile(&IsDigit);
  bool valid = whole == "0" || (!whole.empty() && whole.front() != '0');
  if (Peek() == '.') {
    ++position_;
    valid = !TakeWhile(&IsDigit).empty() && valid;
  }
  const bool ends = position_ == text_.size() || IsBlank(Peek()) || Peek() == ')';
  if (!valid || !ends) return ErrorHere("Invalid number literal");
  return std::string(text_.substr(start, position_ - start));
}

absl::StatusOr<std::string> FilterScanner::ReadString() {
  return Peek() == '`' ? ReadRawString() : ReadEscapedString();
}

absl::StatusOr<std::string> FilterScanner::ReadRawString() {
  const size_t end = text_.find('`', position_ + 1);
  if (end == std::string_view::npos) return ErrorHere("Unterminated string literal");
  const std::string_view content = text_.substr(position_ + 1, end - position_ - 1);
  position_ = end + 1;
  return std::string(content);
}

absl::StatusOr<std::string> FilterScanner::ReadEscapedString() {
  const size_t start = position_++;
  std::string content;
  while (position_ < text_.size() && text_[position_] != '"') {
    if (text_[position_] == '\n') return ErrorHere("a \"string\" cannot span lines");
    if (text_[position_] != '\\') {
      content.push_back(text_[position_++]);
      continue;
    }
    const std::optional<size_t> length = AppendGoEscape(text_.substr(position_), content);
    if (!length) return ErrorHere("invalid escape in a \"string\"");
    position_ += *length;
  }
  if (position_ == text_.size()) {
    position_ = start;
    return ErrorHere("Unterminated string literal");
  }
  ++position_;
  return content;
}

absl::Status FilterScanner::Expected(std::string_view what) const {
  return ErrorHere(absl::StrFormat("no match found, expected: %s", what));
}

absl::Status FilterScanner::ErrorHere(std::string_view what) const {
  const std::string_view before = text_.substr(0, position_);
  const size_t newline = before.rfind('\n');
  const std::string_view line =
      newline == std::string_view::npos ? before : before.substr(newline + 1);
  return absl::InvalidArgumentError(absl::StrFormat(
      "%d:%d (%d): %s", std::count(before.begin(), before.end(), '\n') + 1,
      std::count_if(line.begin(), line.end(), &BeginsCharacter) + 1, position_, what));
}

}  // namespace pharos::http
