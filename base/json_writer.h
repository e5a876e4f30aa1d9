// Writes JSON (RFC 8259) as Go's encoding/json does, which clients compare with: compact or
// indented by four spaces, `<`, `>` and `&` escaped, and what is no UTF-8 replaced by U+FFFD.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace pharos {

class JsonWriter {
 public:
  enum class Style { kCompact, kIndented };

  explicit JsonWriter(Style style = Style::kCompact) : indented_(style == Style::kIndented) {}

  // Containers nest; the caller ends what it begins.
  void BeginObject() { Begin('{'); }
  void EndObject() { End('}'); }
  void BeginArray() { Begin('['); }
  void EndArray() { End(']'); }

  // The name of the member whose value comes next.
  void Key(std::string_view name);

  void String(std::string_view value);
  void Int(int64_t value);
  void Uint(uint64_t value);
  void Double(double value);  // Finite; else null.
  void Bool(bool value);
  void Null();
  // A value that is JSON already.
  void Raw(std::string_view json);

  // Members of an object in one call.
  void Field(std::string_view name, std::string_view value) { Key(name), String(value); }
  void IntField(std::string_view name, int64_t value) { Key(name), Int(value); }
  void UintField(std::string_view name, uint64_t value) { Key(name), Uint(value); }
  void BoolField(std::string_view name, bool value) { Key(name), Bool(value); }
  void RawField(std::string_view name, std::string_view json) { Key(name), Raw(json); }

  // The text written, which is then taken out; indented text ends in a newline.
  std::string Take();

 private:
  void Begin(char open);
  void End(char close);
  // What stands between this value and the one before it.
  void Separate();
  void NewLine();

  bool indented_;
  bool first_ = true;       // Nothing was written into the innermost container yet.
  bool after_key_ = false;  // The next value belongs to a key.
  size_t depth_ = 0;
  std::string text_;
};

}  // namespace pharos
