// The words of HCL version 1: blanks and comments, texts, heredocs, numbers, names.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/config/value.h"

namespace pharos::agent {

// Walks forward through a text it borrows, and knows line and column. Errors are InvalidArgument
// with the position in front.
class HclScanner {
 public:
  HclScanner(std::string_view text, std::string_view source_name, uint32_t source)
      : text_(text), source_name_(source_name), position_{source, 1, 1} {}

  bool AtEnd() const { return offset_ >= text_.size(); }
  // The octet `ahead` of here, or NUL past the end.
  char Peek(size_t ahead = 0) const {
    return ahead < text_.size() - offset_ ? text_[offset_ + ahead] : '\0';
  }
  std::string_view rest() const { return text_.substr(offset_); }
  const Position& position() const { return position_; }
  void Advance(size_t octets = 1);

  // Passes blanks, line ends and comments. An error for a comment that does not end.
  absl::Status SkipBlanks();
  // Whether a name (or a number or bool: they begin alike) starts here.
  bool AtWord() const;
  // Takes a name: letters, digits, `_`, `-`, `.` and everything beyond ASCII. Empty if none is
  // here.
  std::string_view TakeWord();
  // Takes a text in double quotes; Peek() is the opening quote.
  absl::StatusOr<std::string> TakeQuoted();
  // Takes a heredoc; the text goes on with `<<`.
  absl::StatusOr<std::string> TakeHeredoc();
  // Takes an integer or a float; Peek() is a digit, `-` or `.`.
  absl::StatusOr<Value> TakeNumber();

  absl::Status Error(const Position& at, std::string_view message) const;
  // What stands here, for a message: `"x"`, `end of file`.
  std::string DescribeNext() const;

 private:
  // Takes an escape sequence; Peek() is the backslash.
  absl::Status TakeEscape(std::string& text);
  absl::StatusOr<uint32_t> TakeCodePoint(int base, int digits);
  std::string_view TakeLine();

  std::string_view text_;
  std::string_view source_name_;
  size_t offset_ = 0;
  Position position_;
};

}  // namespace pharos::agent
