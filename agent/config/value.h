// A configuration as a tree of values, each of which knows where it was written, so that an error
// found long after reading can still name file, line and column. HCL, JSON and flags all become
// this tree; what the keys mean is the schema's business.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pharos::agent {

// Where a key or a value was written. Line and column start at 1; columns count octets. Line 0: the
// source has no lines (a flag, a default), and only its name is printed.
struct Position {
  uint32_t source = 0;  // Index into SourceNames.
  uint32_t line = 0;
  uint32_t column = 0;
};

// The names that Position::source refers to: paths, `-hcl`, `flag -node`.
using SourceNames = std::vector<std::string>;

// `FILE:LINE:COLUMN: MESSAGE`, or `FILE: MESSAGE` without a line.
std::string AtPosition(std::string_view source_name, const Position& at, std::string_view message);

struct Entry;

struct Value {
  enum class Kind : uint8_t { kNull, kBool, kInt, kFloat, kText, kList, kMap };

  Kind kind = Kind::kNull;
  Position at;
  bool boolean = false;     // kBool
  int64_t integer = 0;      // kInt
  double number = 0;        // kFloat
  std::string text;         // kText
  std::vector<Value> list;  // kList
  std::vector<Entry> map;   // kMap, in the order written; no key twice.

  static Value Null(Position at);
  static Value Bool(Position at, bool boolean);
  static Value Int(Position at, int64_t integer);
  static Value Float(Position at, double number);
  static Value Text(Position at, std::string text);
  static Value List(Position at);
  static Value Map(Position at);

  bool is(Kind wanted) const { return kind == wanted; }
  // The value of `key` of a map, or null when this is no map or has no such key.
  const Value* Find(std::string_view key) const;
  // The same for a path of keys joined by dots: `dns_config.soa.refresh`.
  const Value* FindPath(std::string_view path) const;
  // The Go type that Consul's messages name: bool, int, float64, string, slice, map, nil.
  std::string_view TypeWord() const;

 private:
  static Value Of(Kind kind, Position at);
};

struct Entry {
  std::string key;
  Position at;  // Of the key.
  Value value;
};

// Whether both say the same, wherever they were written and in whatever order their keys stand.
bool SameContent(const Value& a, const Value& b);

}  // namespace pharos::agent
