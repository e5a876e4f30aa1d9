#include "agent/config/field_reader.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "agent/config/schema.h"
#include "agent/config/template_hint.h"
#include "base/go_duration.h"

namespace pharos::agent {
namespace {

// enable_tag_override, EnableTagOverride and enabletagoverride are one.
std::string Folded(std::string_view name) {
  std::string folded;
  for (const char c : name) {
    if (c != '_') folded.push_back(absl::ascii_tolower(static_cast<unsigned char>(c)));
  }
  return folded;
}

const Value& EmptyObject() {
  static const Value kEmpty = Value::Map({});
  return kEmpty;
}

}  // namespace

FieldReader::FieldReader(const Value& object, std::string path, Problems& problems)
    : object_(&object), path_(std::move(path)), problems_(problems) {
  if (object_->is(Value::Kind::kList) && object_->list.size() == 1) object_ = object_->list.data();
  if (object_->is(Value::Kind::kMap)) return;
  problems_.Add(object.at,
                absl::StrFormat("'%s' expected a map, got '%s'", path_, object.TypeWord()));
  object_ = &EmptyObject();
}

std::string FieldReader::PathOf(std::string_view name) const {
  return absl::StrCat(path_, ".", std::string(name));
}

const Value* FieldReader::Any(std::string_view name) {
  asked_.push_back(name);
  const std::string folded = Folded(name);
  const Value* found = nullptr;
  for (const Entry& entry : object_->map) {
    if (Folded(entry.key) == folded && !entry.value.is(Value::Kind::kNull)) found = &entry.value;
  }
  return found;
}

const Value* FieldReader::Take(std::string_view name, Value::Kind kind,
                               std::string_view type_word) {
  const Value* value = Any(name);
  if (value == nullptr || value->is(kind)) return value;
  problems_.Add(value->at, WrongTypeMessage(PathOf(name), type_word, *value));
  return nullptr;
}

void FieldReader::Text(std::string_view name, std::string& target) {
  if (const Value* value = Take(name, Value::Kind::kText, "string")) target = value->text;
}

void FieldReader::Bool(std::string_view name, bool& target) {
  if (const Value* value = Take(name, Value::Kind::kBool, "bool")) target = value->boolean;
}

void FieldReader::Int(std::string_view name, int& target, int min, int max) {
  const Value* value = Take(name, Value::Kind::kInt, "int");
  if (value == nullptr) return;
  if (value->integer < min || value->integer > max) {
    problems_.Add(value->at, absl::StrFormat("%s is %d; expected %d to %d", PathOf(name),
                                             value->integer, min, max));
    return;
  }
  target = static_cast<int>(value->integer);
}

void FieldReader::Port(std::string_view name, int& target) {
  const Value* value = Take(name, Value::Kind::kInt, "int");
  if (value == nullptr) return;
  if (value->integer < 0 || value->integer > 65535) {
    problems_.Add(value->at, absl::StrFormat("%s: invalid port: %d", PathOf(name), value->integer));
    return;
  }
  target = static_cast<int>(value->integer);
}

void FieldReader::Duration(std::string_view name, absl::Duration& target) {
  const Value* value = Take(name, Value::Kind::kText, "string");
  if (value == nullptr) return;
  const absl::StatusOr<absl::Duration> duration = ParseGoDuration(value->text);
  if (!duration.ok() || *duration < absl::ZeroDuration()) {
    const std::string why =
        duration.ok() ? "it is negative" : std::string(duration.status().message());
    const std::string message =
        absl::StrFormat("%s: invalid duration: \"%s\": %s", PathOf(name), value->text, why);
    problems_.Add(value->at, WithTemplateHint(message, value->text));
    return;
  }
  target = *duration;
}

void FieldReader::AppendTexts(const Value& list, const std::string& path,
                              std::vector<std::string>& target) {
  for (size_t i = 0; i < list.list.size(); ++i) {
    const Value& element = list.list[i];
    if (element.is(Value::Kind::kText)) {
      target.push_back(element.text);
    } else {
      problems_.Add(element.at,
                    WrongTypeMessage(absl::StrFormat("%s[%d]", path, i), "string", element));
    }
  }
}

void FieldReader::TextList(std::string_view name, std::vector<std::string>& target) {
  if (const Value* value = Take(name, Value::Kind::kList, "slice")) {
    AppendTexts(*value, PathOf(name), target);
  }
}

void FieldReader::TextMap(std::string_view name,
                          std::vector<std::pair<std::string, std::string>>& target) {
  const Value* value = Take(name, Value::Kind::kMap, "map");
  if (value == nullptr) return;
  for (const Entry& entry : value->map) {
    if (entry.value.is(Value::Kind::kText)) {
      target.emplace_back(entry.key, entry.value.text);
    } else {
      const std::string path = absl::StrFormat("%s[%s]", PathOf(name), entry.key);
      problems_.Add(entry.value.at, WrongTypeMessage(path, "string", entry.value));
    }
  }
}

void FieldReader::TextListMap(
    std::string_view name, std::vector<std::pair<std::string, std::vector<std::string>>>& target) {
  const Value* value = Take(name, Value::Kind::kMap, "map");
  if (value == nullptr) return;
  for (const Entry& entry : value->map) {
    const std::string path = absl::StrFormat("%s[%s]", PathOf(name), entry.key);
    if (!entry.value.is(Value::Kind::kList)) {
      problems_.Add(entry.value.at, WrongTypeMessage(path, "slice", entry.value));
      continue;
    }
    AppendTexts(entry.value, path,
                target.emplace_back(entry.key, std::vector<std::string>()).second);
  }
}

void FieldReader::ReportUnknown() {
  for (const Entry& entry : object_->map) {
    const std::string folded = Folded(entry.key);
    const bool known = std::any_of(asked_.begin(), asked_.end(),
                                   [&](std::string_view name) { return Folded(name) == folded; });
    if (known) continue;
    problems_.Add(entry.at, problems_.full() ? "" : UnknownKeyMessage(path_, entry.key, asked_));
  }
}

}  // namespace pharos::agent
