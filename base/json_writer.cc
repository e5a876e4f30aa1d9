#include "base/json_writer.h"

#include <charconv>
#include <cmath>
#include <utility>

#include "base/utf8.h"

namespace pharos {
namespace {

constexpr size_t kIndentWidth = 4;
constexpr size_t kNumberOctetsMax = 32;

template <typename Number>
void AppendNumber(Number value, std::string& text) {
  char digits[kNumberOctetsMax];
  const auto [end, error] = std::to_chars(std::begin(digits), std::end(digits), value);
  text.append(std::begin(digits), end);
}

void AppendUnicodeEscape(unsigned code, std::string& text) {
  constexpr char kHex[] = "0123456789abcdef";
  text += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) text += kHex[(code >> shift) & 0xF];
}

// Whether an octet stands for itself in a string.
bool IsPlain(unsigned char octet) {
  return octet >= 0x20 && octet < 0x7F && octet != '"' && octet != '\\' && octet != '<' &&
         octet != '>' && octet != '&';
}

void AppendEscaped(unsigned char octet, std::string& text) {
  switch (octet) {
    case '"':
    case '\\':
      text += '\\';
      text += static_cast<char>(octet);
      return;
    case '\n':
      text += "\\n";
      return;
    case '\r':
      text += "\\r";
      return;
    case '\t':
      text += "\\t";
      return;
    default:
      AppendUnicodeEscape(octet, text);
  }
}

void AppendQuoted(std::string_view value, std::string& text) {
  text += '"';
  size_t i = 0;
  while (i < value.size()) {
    size_t plain_end = i;
    while (plain_end < value.size() && IsPlain(static_cast<unsigned char>(value[plain_end]))) {
      ++plain_end;
    }
    text.append(value, i, plain_end - i);
    i = plain_end;
    if (i == value.size()) break;
    const auto octet = static_cast<unsigned char>(value[i]);
    if (octet < 0x7F) {
      AppendEscaped(octet, text);
      ++i;
      continue;
    }
    const size_t length = octet == 0x7F ? 1 : Utf8Length(value.substr(i));
    const std::string_view character = value.substr(i, length);
    if (length == 0) {
      text += "\\ufffd";
    } else if (character == "\xE2\x80\xA8" || character == "\xE2\x80\xA9") {
      // Line separators end a line in JavaScript, and so may not stand in a script's string.
      AppendUnicodeEscape(character.back() == '\xA8' ? 0x2028 : 0x2029, text);
    } else {
      text += character;
    }
    i += length == 0 ? 1 : length;
  }
  text += '"';
}

}  // namespace

void JsonWriter::Begin(char open) {
  Separate();
  text_ += open;
  ++depth_;
  first_ = true;
}

void JsonWriter::End(char close) {
  --depth_;
  if (!first_) NewLine();
  text_ += close;
  first_ = false;
}

void JsonWriter::Separate() {
  if (after_key_) {
    after_key_ = false;
    return;
  }
  if (depth_ == 0) return;
  if (!first_) text_ += ',';
  NewLine();
  first_ = false;
}

void JsonWriter::NewLine() {
  if (!indented_) return;
  text_ += '\n';
  text_.append(depth_ * kIndentWidth, ' ');
}

void JsonWriter::Key(std::string_view name) {
  Separate();
  AppendQuoted(name, text_);
  text_ += indented_ ? ": " : ":";
  after_key_ = true;
}

void JsonWriter::String(std::string_view value) {
  Separate();
  AppendQuoted(value, text_);
}

void JsonWriter::Int(int64_t value) {
  Separate();
  AppendNumber(value, text_);
}

void JsonWriter::Uint(uint64_t value) {
  Separate();
  AppendNumber(value, text_);
}

void JsonWriter::Double(double value) {
  if (!std::isfinite(value)) return Null();
  Separate();
  AppendNumber(value, text_);
}

void JsonWriter::Bool(bool value) { Raw(value ? "true" : "false"); }
void JsonWriter::Null() { Raw("null"); }

void JsonWriter::Raw(std::string_view json) {
  Separate();
  text_ += json;
}

std::string JsonWriter::Take() {
  if (indented_) text_ += '\n';
  return std::exchange(text_, {});
}

}  // namespace pharos
