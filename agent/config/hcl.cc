#include "agent/config/hcl.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "agent/config/hcl_scanner.h"
#include "agent/config/map_builder.h"
#include "agent/config/template_hint.h"
#include "base/status_macros.h"
#include "base/utf8.h"

namespace pharos::agent {
namespace {

class HclReader {
 public:
  HclReader(std::string_view text, std::string_view source_name, uint32_t source)
      : scanner_(text, source_name, source) {}

  absl::StatusOr<Value> ReadFile() {
    MapBuilder map(scanner_.position());
    while (true) {
      RETURN_IF_ERROR(scanner_.SkipBlanks());
      if (scanner_.AtEnd()) return std::move(map).Take();
      RETURN_IF_ERROR(ReadEntry(map, 1));
    }
  }

  // For what is wrong with the text as a whole.
  absl::Status ErrorAfter(size_t octets, std::string_view message) {
    scanner_.Advance(octets);
    return scanner_.Error(scanner_.position(), message);
  }

 private:
  struct Key {
    std::string text;
    Position at;
  };

  // `key = value`, `key { ... }` or `key "label" { ... }`, and a comma after it if there is one.
  absl::Status ReadEntry(MapBuilder& map, int depth) {
    std::vector<Key> keys;
    RETURN_IF_ERROR(ReadKeys(keys));
    Value value;
    if (scanner_.Peek() == '=') {
      if (keys.size() > 1) {
        return Unexpected(absl::StrFormat("{ after the label of block %s", keys[0].text));
      }
      scanner_.Advance();
      RETURN_IF_ERROR(ReadValue(value, depth));
    } else if (scanner_.Peek() == '{') {
      // Each label is an object around the block.
      RETURN_IF_ERROR(ReadObject(value, depth + static_cast<int>(keys.size()) - 1));
    } else {
      return Unexpected(absl::StrFormat("= or { after the key %s", keys[0].text));
    }
    for (size_t i = keys.size() - 1; i > 0; --i) {
      MapBuilder outer(value.at);
      outer.Set(std::move(keys[i].text), keys[i].at, std::move(value));
      value = std::move(outer).Take();
    }
    Store(map, std::move(keys[0]), std::move(value));
    RETURN_IF_ERROR(scanner_.SkipBlanks());
    if (scanner_.Peek() == ',') scanner_.Advance();
    return absl::OkStatus();
  }

  // The key and the labels after it, and the blanks behind them.
  absl::Status ReadKeys(std::vector<Key>& keys) {
    while (true) {
      const Position at = scanner_.position();
      if (scanner_.Peek() == '"') {
        absl::StatusOr<std::string> text = scanner_.TakeQuoted();
        if (!text.ok()) return text.status();
        keys.push_back({*std::move(text), at});
      } else if (scanner_.AtWord()) {
        keys.push_back({std::string(scanner_.TakeWord()), at});
      } else if (keys.empty()) {
        return Unexpected("a key");
      } else {
        return absl::OkStatus();
      }
      if (keys.size() > kConfigDepthMax) return TooDeep();
      RETURN_IF_ERROR(scanner_.SkipBlanks());
    }
  }

  // Objects under one key are kept all, as a list; of anything else the last one counts.
  static void Store(MapBuilder& map, Key key, Value value) {
    Value* before = map.Find(key.text);
    const bool both_objects = before != nullptr && value.is(Value::Kind::kMap) &&
                              (before->is(Value::Kind::kMap) || before->is(Value::Kind::kList));
    if (!both_objects) {
      map.Set(std::move(key.text), key.at, std::move(value));
      return;
    }
    if (before->is(Value::Kind::kMap)) {
      Value list = Value::List(before->at);
      list.list.push_back(std::move(*before));
      *before = std::move(list);
    }
    before->list.push_back(std::move(value));
  }

  absl::Status ReadValue(Value& value, int depth) {
    RETURN_IF_ERROR(scanner_.SkipBlanks());
    const Position at = scanner_.position();
    const char first = scanner_.Peek();
    RETURN_IF_ERROR(RefusePlaceholder());
    if (first == '{') return ReadObject(value, depth);
    if (first == '[') return ReadList(value, depth);
    if (first == '"' || (first == '<' && scanner_.Peek(1) == '<')) {
      absl::StatusOr<std::string> text =
          first == '"' ? scanner_.TakeQuoted() : scanner_.TakeHeredoc();
      if (!text.ok()) return text.status();
      value = Value::Text(at, *std::move(text));
      return absl::OkStatus();
    }
    if ((first >= '0' && first <= '9') || first == '-' || first == '.') {
      ASSIGN_OR_RETURN(value, scanner_.TakeNumber());
      return absl::OkStatus();
    }
    if (scanner_.rest().empty() || !scanner_.AtWord()) return Unexpected("a value");
    return ReadBool(value);
  }

  absl::Status ReadBool(Value& value) {
    const Position at = scanner_.position();
    const std::string given = scanner_.DescribeNext();
    const std::string_view word = scanner_.TakeWord();
    if (word != "true" && word != "false") {
      return scanner_.Error(at,
                            absl::StrFormat("%s is not a value; expected true, false, a number, "
                                            "a list, an object, or a text in quotes",
                                            given));
    }
    value = Value::Bool(at, word == "true");
    return absl::OkStatus();
  }

  // An unquoted `${NAME}`, `$NAME` or `{{ name }}` where a value should be.
  absl::Status RefusePlaceholder() {
    const char first = scanner_.Peek();
    const bool starts = first == '$' || (first == '{' && scanner_.Peek(1) == '{');
    if (!starts) return absl::OkStatus();
    const std::string_view line = scanner_.rest().substr(0, scanner_.rest().find('\n'));
    const std::string_view placeholder = FindPlaceholder(line);
    if (placeholder.empty() || placeholder.data() != line.data()) return absl::OkStatus();
    return scanner_.Error(scanner_.position(), PlaceholderMessage(placeholder));
  }

  absl::Status ReadObject(Value& value, int depth) {
    if (depth >= kConfigDepthMax) return TooDeep();
    const Position start = scanner_.position();
    MapBuilder map(start);
    scanner_.Advance();
    while (true) {
      RETURN_IF_ERROR(scanner_.SkipBlanks());
      if (scanner_.AtEnd()) return scanner_.Error(start, "this object does not end; expected }");
      if (scanner_.Peek() == '}') break;
      RETURN_IF_ERROR(ReadEntry(map, depth + 1));
    }
    scanner_.Advance();
    value = std::move(map).Take();
    return absl::OkStatus();
  }

  absl::Status ReadList(Value& value, int depth) {
    if (depth >= kConfigDepthMax) return TooDeep();
    const Position start = scanner_.position();
    value = Value::List(start);
    scanner_.Advance();
    while (true) {
      RETURN_IF_ERROR(scanner_.SkipBlanks());
      if (scanner_.AtEnd()) return scanner_.Error(start, "this list does not end; expected ]");
      if (scanner_.Peek() == ']') break;
      RETURN_IF_ERROR(ReadValue(value.list.emplace_back(), depth + 1));
      RETURN_IF_ERROR(scanner_.SkipBlanks());
      if (scanner_.Peek() == ',') {
        scanner_.Advance();
      } else if (scanner_.Peek() != ']' && !scanner_.AtEnd()) {
        return Unexpected(", or ] after an element of a list");
      }
    }
    scanner_.Advance();
    return absl::OkStatus();
  }

  absl::Status Unexpected(std::string_view expected) const {
    return scanner_.Error(scanner_.position(), absl::StrFormat("%s found; expected %s",
                                                               scanner_.DescribeNext(), expected));
  }
  absl::Status TooDeep() const {
    return scanner_.Error(
        scanner_.position(),
        absl::StrFormat("objects and lists are more than %d deep", kConfigDepthMax));
  }

  HclScanner scanner_;
};

}  // namespace

absl::StatusOr<Value> ReadHcl(std::string_view text, std::string_view source_name,
                              uint32_t source) {
  constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  HclReader reader(text, source_name, source);
  if (text.size() > kConfigOctetsMax) {
    return reader.ErrorAfter(
        0, absl::StrFormat("%d octets; expected at most %d", text.size(), kConfigOctetsMax));
  }
  const size_t valid_octets = FindInvalidUtf8(text);
  if (valid_octets < text.size()) {
    return reader.ErrorAfter(valid_octets, "an octet that is not UTF-8; expected UTF-8 text");
  }
  return reader.ReadFile();
}

}  // namespace pharos::agent
