#include "agent/config/value.h"

#include <utility>

#include "absl/strings/str_format.h"

namespace pharos::agent {

std::string AtPosition(std::string_view source_name, const Position& at, std::string_view message) {
  if (at.line == 0) return absl::StrFormat("%s: %s", source_name, message);
  return absl::StrFormat("%s:%d:%d: %s", source_name, at.line, at.column, message);
}

Value Value::Of(Kind kind, Position at) {
  Value value;
  value.kind = kind;
  value.at = at;
  return value;
}

Value Value::Null(Position at) { return Of(Kind::kNull, at); }
Value Value::List(Position at) { return Of(Kind::kList, at); }
Value Value::Map(Position at) { return Of(Kind::kMap, at); }

Value Value::Bool(Position at, bool boolean) {
  Value value = Of(Kind::kBool, at);
  value.boolean = boolean;
  return value;
}

Value Value::Int(Position at, int64_t integer) {
  Value value = Of(Kind::kInt, at);
  value.integer = integer;
  return value;
}

Value Value::Float(Position at, double number) {
  Value value = Of(Kind::kFloat, at);
  value.number = number;
  return value;
}

Value Value::Text(Position at, std::string text) {
  Value value = Of(Kind::kText, at);
  value.text = std::move(text);
  return value;
}

const Value* Value::Find(std::string_view key) const {
  for (const Entry& entry : map) {
    if (entry.key == key) return &entry.value;
  }
  return nullptr;
}

const Value* Value::FindPath(std::string_view path) const {
  const Value* value = this;
  while (value != nullptr && !path.empty()) {
    const size_t dot = path.find('.');
    value = value->Find(path.substr(0, dot));
    path = dot == std::string_view::npos ? std::string_view() : path.substr(dot + 1);
  }
  return value;
}

std::string_view Value::TypeWord() const {
  switch (kind) {
    case Kind::kNull:
      return "nil";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kFloat:
      return "float64";
    case Kind::kText:
      return "string";
    case Kind::kList:
      return "slice";
    case Kind::kMap:
      return "map";
  }
  return "nil";
}

bool SameContent(const Value& a, const Value& b) {
  if (a.kind != b.kind || a.boolean != b.boolean || a.integer != b.integer ||
      a.number != b.number || a.text != b.text || a.list.size() != b.list.size() ||
      a.map.size() != b.map.size()) {
    return false;
  }
  for (size_t i = 0; i < a.list.size(); ++i) {
    if (!SameContent(a.list[i], b.list[i])) return false;
  }
  for (const Entry& entry : a.map) {
    const Value* other = b.Find(entry.key);
    if (other == nullptr || !SameContent(entry.value, *other)) return false;
  }
  return true;
}

}  // namespace pharos::agent
