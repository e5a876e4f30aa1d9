#include "agent/config/json_reader.h"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "agent/config/hcl.h"
#include "agent/config/map_builder.h"
#include "agent/config/template_hint.h"

namespace pharos::agent {
namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

// Follows the parser through the text token by token, as its events do not say where they stand.
// The text up to each token was found well-formed, so a token's end can be seen from its start.
class TokenCursor {
 public:
  TokenCursor(std::string_view text, uint32_t source) : text_(text), position_{source, 1, 1} {
    if (text_.starts_with(kByteOrderMark)) offset_ = kByteOrderMark.size();
  }

  // The position of the next token, which is passed.
  Position Next() {
    while (offset_ < text_.size() && IsBetweenTokens(text_[offset_])) Advance();
    const Position start = position_;
    if (offset_ >= text_.size()) return start;
    const char first = text_[offset_];
    Advance();
    if (first == '"') {
      while (offset_ < text_.size() && text_[offset_] != '"') {
        if (text_[offset_] == '\\') Advance();
        Advance();
      }
      Advance();
    } else if (first != '{' && first != '}' && first != '[' && first != ']') {
      while (offset_ < text_.size() && !EndsWord(text_[offset_])) Advance();
    }
    return start;
  }
  // The position of the octet at `offset`, or of the end; not to be followed by Next.
  Position PassTo(size_t offset) {
    while (offset_ < offset && offset_ < text_.size()) Advance();
    return position_;
  }

 private:
  static bool IsBetweenTokens(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ',' || c == ':';
  }
  static bool EndsWord(char c) { return IsBetweenTokens(c) || c == '}' || c == ']'; }
  void Advance() {
    if (offset_ >= text_.size()) return;
    if (text_[offset_++] == '\n') {
      ++position_.line;
      position_.column = 1;
    } else {
      ++position_.column;
    }
  }

  std::string_view text_;
  size_t offset_ = 0;
  Position position_;
};

// What nlohmann's parser calls; each call returns whether to go on.
class TreeMaker : public nlohmann::json_sax<nlohmann::json> {
 public:
  TreeMaker(std::string_view text, std::string_view source_name, uint32_t source)
      : text_(text), source_name_(source_name), source_(source), cursor_(text, source) {}

  bool null() override { return Put(Value::Null(cursor_.Next())); }
  bool boolean(bool value) override { return Put(Value::Bool(cursor_.Next(), value)); }
  bool number_integer(number_integer_t value) override {
    return Put(Value::Int(cursor_.Next(), value));
  }
  bool number_unsigned(number_unsigned_t value) override {
    const Position at = cursor_.Next();
    const bool fits = value <= static_cast<number_unsigned_t>(INT64_MAX);
    return Put(fits ? Value::Int(at, static_cast<int64_t>(value))
                    : Value::Float(at, static_cast<double>(value)));
  }
  bool number_float(number_float_t value, const string_t& /*spelling*/) override {
    return Put(Value::Float(cursor_.Next(), value));
  }
  bool string(string_t& value) override {
    return Put(Value::Text(cursor_.Next(), std::move(value)));
  }
  bool binary(binary_t& /*value*/) override { return false; }  // JSON text has none.

  bool key(string_t& key) override {
    open_.back().key_at = cursor_.Next();
    open_.back().key = std::move(key);
    return true;
  }
  bool start_object(size_t /*elements*/) override { return Open(true); }
  bool start_array(size_t /*elements*/) override { return Open(false); }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }

  bool parse_error(size_t position, const std::string& /*last_token*/,
                   const nlohmann::json::exception& error) override {
    const size_t offset = position > 0 ? position - 1 : 0;
    Fail(TokenCursor(text_, source_).PassTo(offset), Explain(offset, error.what()));
    return false;
  }

  absl::StatusOr<Value> Result() && {
    if (!status_.ok()) return status_;
    if (!root_.is(Value::Kind::kMap)) {
      return absl::InvalidArgumentError(
          AtPosition(source_name_, root_.at,
                     absl::StrFormat("the file holds a %s; expected an object", root_.TypeWord())));
    }
    return std::move(root_);
  }

 private:
  // An object or a list whose end was not seen yet.
  struct Container {
    MapBuilder map;
    Value list;
    bool is_object;
    std::string key;
    Position key_at;
  };

  bool Open(bool is_object) {
    const Position at = cursor_.Next();
    if (open_.size() >= static_cast<size_t>(kConfigDepthMax)) {
      Fail(at, absl::StrFormat("objects and lists are more than %d deep", kConfigDepthMax));
      return false;
    }
    open_.push_back(Container{MapBuilder(at), Value::List(at), is_object, {}, {}});
    return true;
  }
  bool Close() {
    cursor_.Next();
    Container closed = std::move(open_.back());
    open_.pop_back();
    return Put(closed.is_object ? std::move(closed.map).Take() : std::move(closed.list));
  }
  bool Put(Value value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (open_.back().is_object) {
      Container& object = open_.back();
      object.map.Set(std::move(object.key), object.key_at, std::move(value));
    } else {
      open_.back().list.list.push_back(std::move(value));
    }
    return true;
  }
  void Fail(const Position& at, std::string_view message) {
    status_ = absl::InvalidArgumentError(AtPosition(source_name_, at, message));
  }
  // The parser's own words without the position in front of them, which ours replaces.
  std::string Explain(size_t offset, std::string_view what) const {
    const std::string_view rest = text_.substr(std::min(offset, text_.size()));
    const std::string_view line = rest.substr(0, rest.find('\n'));
    const std::string_view placeholder = FindPlaceholder(line);
    if (!placeholder.empty() && placeholder.data() == line.data()) {
      return PlaceholderMessage(placeholder);
    }
    const size_t words = what.find(": ");
    return absl::StrFormat("not JSON: %s",
                           words == std::string_view::npos ? what : what.substr(words + 2));
  }

  std::string_view text_;
  std::string_view source_name_;
  uint32_t source_;
  TokenCursor cursor_;
  std::vector<Container> open_;
  Value root_;
  absl::Status status_;
};

}  // namespace

absl::StatusOr<Value> ReadJson(std::string_view text, std::string_view source_name,
                               uint32_t source) {
  const Position start{source, 1, 1};
  if (text.size() > kConfigOctetsMax) {
    return absl::InvalidArgumentError(AtPosition(
        source_name, start,
        absl::StrFormat("%d octets; expected at most %d", text.size(), kConfigOctetsMax)));
  }
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) return Value::Map(start);
  TreeMaker maker(text, source_name, source);
  nlohmann::json::sax_parse(text.begin(), text.end(), &maker);
  return std::move(maker).Result();
}

}  // namespace pharos::agent
