#include "agent/config/settings.h"

#include "absl/strings/str_format.h"
#include "base/go_duration.h"

namespace pharos::agent {

const Value* Settings::FindKind(std::string_view path, Value::Kind kind) const {
  const Value* value = tree_.FindPath(path);
  return value != nullptr && value->is(kind) ? value : nullptr;
}

void Settings::Read(std::string_view path, bool& target) const {
  if (const Value* value = FindKind(path, Value::Kind::kBool)) target = value->boolean;
}

void Settings::Read(std::string_view path, double& target) const {
  if (const Value* value = FindKind(path, Value::Kind::kFloat)) target = value->number;
}

void Settings::Read(std::string_view path, std::string& target) const {
  if (const Value* value = FindKind(path, Value::Kind::kText)) target = value->text;
}

absl::Duration Settings::ReadDuration(std::string_view path, const Value& value) const {
  const absl::StatusOr<absl::Duration> duration = ParseGoDuration(value.text);
  if (!duration.ok()) return absl::ZeroDuration();  // The schema has said so.
  if (*duration < absl::ZeroDuration()) {
    problems_.Add(value.at, absl::StrFormat("%s: invalid duration: \"%s\": it is negative", path,
                                            value.text));
  }
  return *duration;
}

void Settings::Read(std::string_view path, absl::Duration& target) const {
  if (const Value* value = FindKind(path, Value::Kind::kText)) target = ReadDuration(path, *value);
}

void Settings::Read(std::string_view path, std::vector<std::string>& target) const {
  const Value* list = FindKind(path, Value::Kind::kList);
  if (list == nullptr) return;
  target.clear();
  for (const Value& element : list->list) target.push_back(element.text);
}

void Settings::Read(std::string_view path,
                    std::vector<std::pair<std::string, std::string>>& target) const {
  const Value* map = FindKind(path, Value::Kind::kMap);
  if (map == nullptr) return;
  for (const Entry& entry : map->map) target.emplace_back(entry.key, entry.value.text);
}

void Settings::Read(std::string_view path,
                    std::vector<std::pair<std::string, absl::Duration>>& target) const {
  const Value* map = FindKind(path, Value::Kind::kMap);
  if (map == nullptr) return;
  for (const Entry& entry : map->map) {
    target.emplace_back(entry.key,
                        ReadDuration(absl::StrFormat("%s[%s]", path, entry.key), entry.value));
  }
}

void Settings::ReadInt(std::string_view path, int64_t min, int64_t max, int64_t& target) const {
  const Value* value = FindKind(path, Value::Kind::kInt);
  if (value == nullptr) return;
  if (value->integer < 0 && min == 0) {
    problems_.Add(value->at,
                  absl::StrFormat("%s cannot be %d. Must be greater than or equal to zero", path,
                                  value->integer));
  } else if (value->integer < min || value->integer > max) {
    problems_.Add(value->at, absl::StrFormat("%s cannot be %d. Must be between %d and %d", path,
                                             value->integer, min, max));
  } else {
    target = value->integer;
  }
}

void Settings::ReadInt(std::string_view path, int64_t min, int64_t max, int& target) const {
  int64_t wide = target;
  ReadInt(path, min, max, wide);
  target = static_cast<int>(wide);
}

void Settings::ReadInt(std::string_view path, int64_t min, int64_t max, uint32_t& target) const {
  int64_t wide = target;
  ReadInt(path, min, max, wide);
  target = static_cast<uint32_t>(wide);
}

void Settings::ReadPort(std::string_view path, int& target) const {
  const Value* value = FindKind(path, Value::Kind::kInt);
  if (value != nullptr) target = value->integer <= 0 ? -1 : static_cast<int>(value->integer);
}

void Settings::Problem(std::string_view path, std::string message) const {
  problems_.Add(Located(path, std::move(message)));
}

std::string Settings::Located(std::string_view path, std::string message) const {
  const Value* value = tree_.FindPath(path);
  return value == nullptr ? std::move(message)
                          : AtPosition(names_[value->at.source], value->at, message);
}

}  // namespace pharos::agent
