// Reads the words of a filter expression one after the other: a cursor over the text.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace pharos::http {

class FilterScanner {
 public:
  // `text` is borrowed for as long as the scanner is used.
  explicit FilterScanner(std::string_view text) : text_(text) {}

  // Each of these passes over white space first. What is taken is stepped over only if it is there.
  bool AtEnd();
  bool TakeSymbol(std::string_view symbol);
  // `word` as a whole word, which a letter, digit or `_` would continue.
  bool TakeWord(std::string_view word);
  // Whether a letter comes: the first of an identifier.
  bool AtIdentifier();

  // `ident ( "." ident | "." digits | "[" string "]" )*`, without white space but in the brackets.
  absl::StatusOr<std::vector<std::string>> ReadSelector();
  // A string without its quotes, a number as it is written, or a selector (a bare word) with its
  // parts joined by dots.
  absl::StatusOr<std::string> ReadValue();

  // `LINE:COLUMN (OFFSET): no match found, expected: WHAT`; counts lines and columns (characters of
  // UTF-8) from 1, and octets from 0.
  absl::Status Expected(std::string_view what) const;
  absl::Status ErrorHere(std::string_view what) const;

 private:
  void SkipBlanks();
  char Peek() const { return position_ < text_.size() ? text_[position_] : '\0'; }
  std::string_view TakeWhile(bool (*fits)(char));

  absl::StatusOr<std::string> ReadIndex();
  absl::StatusOr<std::string> ReadNumber();
  absl::StatusOr<std::string> ReadString();
  absl::StatusOr<std::string> ReadRawString();
  absl::StatusOr<std::string> ReadEscapedString();

  std::string_view text_;
  size_t position_ = 0;
};

}  // namespace pharos::http
