#include "agent/config/schema.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "agent/config/map_builder.h"
#include "agent/config/suggestion.h"
#include "agent/config/template_hint.h"
#include "base/go_duration.h"

namespace pharos::agent {
namespace {

constexpr int64_t kPortMax = 65535;

std::string JoinPath(std::string_view group, std::string_view name) {
  return group.empty() ? std::string(name)
                       : absl::StrCat(std::string(group), ".", std::string(name));
}

// The names that may stand in a group (empty: at the top), whether keys or groups themselves.
std::vector<std::string_view> NamesInGroup(std::string_view group) {
  const std::string prefix = group.empty() ? "" : absl::StrCat(std::string(group), ".");
  std::vector<std::string_view> names;
  for (const Key& key : ConfigKeys()) {
    if (!key.path.starts_with(prefix)) continue;
    std::string_view name = key.path.substr(prefix.size());
    name = name.substr(0, name.find('.'));
    if (names.empty() || names.back() != name) names.push_back(name);
  }
  return names;
}

// The path of a key of this very name in whatever group, so that `node_ttl` at the top is told
// where it belongs. Empty if there is none.
std::string_view PathOfName(std::string_view name) {
  for (const Key& key : ConfigKeys()) {
    const size_t dot = key.path.rfind('.');
    if (dot != std::string_view::npos && key.path.substr(dot + 1) == name) return key.path;
  }
  return {};
}

std::string_view ScalarWord(KeyType type) {
  switch (type) {
    case KeyType::kBool:
      return "bool";
    case KeyType::kInt:
    case KeyType::kPort:
      return "int";
    case KeyType::kFloat:
      return "float64";
    default:
      return "string";
  }
}

class SchemaCheck {
 public:
  explicit SchemaCheck(Problems& problems) : problems_(problems) {}

  Value CheckGroup(const std::string& group, const Value& map) {
    const std::vector<std::string_view> names = NamesInGroup(group);
    MapBuilder checked(map.at);
    for (const Entry& entry : map.map) {
      // Upper and lower case are alike, as Consul reads them.
      const auto known = std::find_if(names.begin(), names.end(), [&entry](std::string_view name) {
        return absl::EqualsIgnoreCase(absl::string_view(name.data(), name.size()), entry.key);
      });
      if (known == names.end()) {
        problems_.Add(entry.at, problems_.full() ? "" : UnknownKeyMessage(group, entry.key, names));
      } else if (!entry.value.is(Value::Kind::kNull)) {
        const std::string path = JoinPath(group, *known);
        const Key* key = FindKey(path);
        Value value = key != nullptr ? CheckKey(*key, entry.value) : CheckMap(path, entry.value);
        checked.Set(std::string(*known), entry.at, std::move(value));
      }
    }
    return std::move(checked).Take();
  }

 private:
  // A group: an object, or a list of one.
  Value CheckMap(const std::string& path, const Value& value) {
    const Value* map = AsMap(path, value);
    return map != nullptr ? CheckGroup(path, *map) : Value::Map(value.at);
  }

  const Value* AsMap(std::string_view path, const Value& value) {
    if (value.is(Value::Kind::kMap)) return &value;
    if (value.is(Value::Kind::kList) && value.list.size() == 1 &&
        value.list[0].is(Value::Kind::kMap)) {
      return &value.list[0];
    }
    problems_.Add(value.at, WithTemplateHint(absl::StrFormat("'%s' expected a map, got '%s'", path,
                                                             value.TypeWord()),
                                             value.text));
    return nullptr;
  }

  Value CheckKey(const Key& key, const Value& value) {
    switch (key.type) {
      case KeyType::kTextList:
        return CheckTextList(key.path, value);
      case KeyType::kTextMap:
      case KeyType::kDurationMap:
        return CheckScalarMap(key, value);
      case KeyType::kTextListMap:
        return CheckTextListMap(key, value);
      case KeyType::kDefinition:
        return CheckDefinition(key, value);
      case KeyType::kDefinitions:
        return CheckDefinitions(key, value);
      case KeyType::kAnything:
        return value;
      default:
        return CheckScalar(key.path, key.type, value);
    }
  }

  // Gives the value as its type wants it: a float without a fraction is an integer and the other
  // way round, as JSON knows only numbers.
  Value CheckScalar(std::string_view path, KeyType type, const Value& value) {
    switch (type) {
      case KeyType::kBool:
        if (value.is(Value::Kind::kBool)) return value;
        break;
      case KeyType::kFloat:
        if (value.is(Value::Kind::kFloat)) return value;
        if (value.is(Value::Kind::kInt)) {
          return Value::Float(value.at, static_cast<double>(value.integer));
        }
        break;
      case KeyType::kInt:
      case KeyType::kPort:
        return CheckInt(path, type, value);
      default:
        if (value.is(Value::Kind::kText)) return CheckText(path, type, value);
    }
    problems_.Add(value.at, WrongTypeMessage(path, ScalarWord(type), value));
    return value;
  }

  Value CheckInt(std::string_view path, KeyType type, const Value& value) {
    Value number = value;
    // Up to 2^53 a double holds every integer.
    const bool is_whole_float =
        value.is(Value::Kind::kFloat) && value.number > -9.0e15 && value.number < 9.0e15 &&
        value.number == static_cast<double>(static_cast<int64_t>(value.number));
    if (is_whole_float) number = Value::Int(value.at, static_cast<int64_t>(value.number));
    if (!number.is(Value::Kind::kInt)) {
      problems_.Add(value.at, WrongTypeMessage(path, "int", value));
    } else if (type == KeyType::kPort && number.integer > kPortMax) {
      problems_.Add(value.at, absl::StrFormat("%s: invalid port: %d", path, number.integer));
    }
    return number;
  }

  Value CheckText(std::string_view path, KeyType type, const Value& value) {
    if (type != KeyType::kDuration) return value;
    const absl::StatusOr<absl::Duration> duration = ParseGoDuration(value.text);
    if (!duration.ok()) {
      const std::string message =
          absl::StrFormat("%s: invalid duration: \"%s\": %s", path, value.text,
                          std::string(duration.status().message()));
      problems_.Add(value.at, WithTemplateHint(message, value.text));
    }
    return value;
  }

  Value CheckTextList(std::string_view path, const Value& value) {
    if (!value.is(Value::Kind::kList)) {
      problems_.Add(value.at, absl::StrFormat("'%s': source data must be an array or slice, got %s",
                                              path, value.TypeWord()));
      return Value::List(value.at);
    }
    for (size_t i = 0; i < value.list.size(); ++i) {
      CheckScalar(absl::StrFormat("%s[%d]", path, i), KeyType::kText, value.list[i]);
    }
    return value;
  }

  Value CheckTextListMap(const Key& key, const Value& value) {
    const Value* map = AsMap(key.path, value);
    if (map == nullptr) return Value::Map(value.at);
    MapBuilder checked(map->at);
    for (const Entry& entry : map->map) {
      checked.Set(entry.key, entry.at,
                  CheckTextList(absl::StrFormat("%s[%s]", key.path, entry.key), entry.value));
    }
    return std::move(checked).Take();
  }

  Value CheckScalarMap(const Key& key, const Value& value) {
    const Value* map = AsMap(key.path, value);
    if (map == nullptr) return Value::Map(value.at);
    const KeyType type = key.type == KeyType::kDurationMap ? KeyType::kDuration : KeyType::kText;
    for (const Entry& entry : map->map) {
      CheckScalar(absl::StrFormat("%s[%s]", key.path, entry.key), type, entry.value);
    }
    return *map;
  }

  // One definition, or several of a repeated block.
  Value CheckDefinition(const Key& key, const Value& value) {
    if (value.is(Value::Kind::kList)) return CheckDefinitions(key, value);
    Value list = Value::List(value.at);
    if (AsMap(key.path, value) != nullptr) list.list.push_back(value);
    return list;
  }

  Value CheckDefinitions(const Key& key, const Value& value) {
    Value list = Value::List(value.at);
    if (value.is(Value::Kind::kMap)) {  // A single block `services { ... }`.
      list.list.push_back(value);
    } else if (!value.is(Value::Kind::kList)) {
      problems_.Add(value.at, absl::StrFormat("'%s': source data must be an array or slice, got %s",
                                              key.path, value.TypeWord()));
    } else {
      for (size_t i = 0; i < value.list.size(); ++i) {
        const Value& element = value.list[i];
        if (AsMap(absl::StrFormat("%s[%d]", key.path, i), element) != nullptr) {
          list.list.push_back(element);
        }
      }
    }
    return list;
  }

  Problems& problems_;
};

// Moves the elements under `one` to the end of the list under `many`.
void JoinDefinitions(MapBuilder& map, const std::string& one, const std::string& many,
                     const Entry& entry) {
  Value* list = map.Find(many);
  if (list == nullptr) {
    map.Set(many, entry.at, entry.value);
  } else if (entry.key == one) {
    list->list.insert(list->list.end(), entry.value.list.begin(), entry.value.list.end());
  } else {
    // `service` stood before `services`, whose elements come first all the same.
    list->list.insert(list->list.begin(), entry.value.list.begin(), entry.value.list.end());
  }
}

}  // namespace

Value CheckAgainstSchema(const Value& tree, Problems& problems) {
  const Value checked = SchemaCheck(problems).CheckGroup("", tree);
  MapBuilder joined(checked.at);
  for (const Entry& entry : checked.map) {
    if (entry.key == "service" || entry.key == "services") {
      JoinDefinitions(joined, "service", "services", entry);
    } else if (entry.key == "check" || entry.key == "checks") {
      JoinDefinitions(joined, "check", "checks", entry);
    } else {
      joined.Set(entry.key, entry.at, entry.value);
    }
  }
  return std::move(joined).Take();
}

std::string UnknownKeyMessage(std::string_view path, std::string_view name,
                              std::span<const std::string_view> known) {
  std::string message = absl::StrFormat("invalid config key %s", JoinPath(path, name));
  const std::string_view near = NearestWord(name, known);
  if (!near.empty()) {
    absl::StrAppendFormat(&message, "; did you mean %s?", JoinPath(path, near));
  } else if (const std::string_view elsewhere = PathOfName(name); !elsewhere.empty()) {
    absl::StrAppendFormat(&message, "; did you mean %s?", elsewhere);
  }
  return message;
}

std::string WrongTypeMessage(std::string_view path, std::string_view expected, const Value& value) {
  const std::string message = absl::StrFormat(
      "'%s' expected type '%s', got unconvertible type '%s'", path, expected, value.TypeWord());
  const Key* key = FindKey(path);
  if (key != nullptr && key->type == KeyType::kDuration) {
    return absl::StrCat(message, " (a duration is a text such as \"10s\")");
  }
  return WithTemplateHint(message, value.text);
}

}  // namespace pharos::agent
