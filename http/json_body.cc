#include "http/json_body.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "base/go_duration.h"
#include "base/utf8.h"

namespace pharos::http {
namespace {

using nlohmann::json;

absl::Status DecodeFailed(std::string_view what) {
  return absl::InvalidArgumentError(absl::StrFormat("Request decode failed: %s", what));
}

// A member's name without what its spelling may differ in.
std::string Fold(std::string_view name) {
  std::string folded;
  for (const char c : name) {
    if (c != '_') folded += absl::ascii_tolower(static_cast<unsigned char>(c));
  }
  return folded;
}

std::string_view GoTypeOf(const json& value) {
  if (value.is_string()) return "string";
  if (value.is_number()) return "number";
  if (value.is_boolean()) return "bool";
  if (value.is_array()) return "array";
  return "object";
}

// Builds the tree and stops where it is nested too deep.
class DepthLimit {
 public:
  bool operator()(int depth, json::parse_event_t event, const json&) {
    const bool opens =
        event == json::parse_event_t::object_start || event == json::parse_event_t::array_start;
    if (opens && depth >= kJsonDepthMax) too_deep_ = true;
    return !too_deep_;
  }
  bool too_deep() const { return too_deep_; }

 private:
  bool too_deep_ = false;
};

}  // namespace

absl::StatusOr<json> ParseJsonBody(std::string_view body) {
  if (std::all_of(body.begin(), body.end(),
                  [](char c) { return absl::ascii_isspace(static_cast<unsigned char>(c)); })) {
    return DecodeFailed("EOF");
  }
  if (const size_t bad = FindInvalidUtf8(body); bad != body.size()) {
    return DecodeFailed(absl::StrFormat("octet %d is no UTF-8; expected JSON in UTF-8", bad));
  }
  DepthLimit limit;
  json value = json::parse(
      body,
      [&limit](int depth, json::parse_event_t event, const json& parsed) {
        return limit(depth, event, parsed);
      },
      /*allow_exceptions=*/false);
  if (limit.too_deep()) {
    return DecodeFailed(absl::StrFormat("expected values nested at most %d deep", kJsonDepthMax));
  }
  if (value.is_discarded()) {
    const absl::string_view text(body.data(), body.size());
    const char first = absl::StripLeadingAsciiWhitespace(text)[0];
    if (std::string_view("{[\"0123456789-tfn").find(first) == std::string_view::npos) {
      return DecodeFailed(
          absl::StrFormat("invalid character '%c' looking for beginning of value", first));
    }
    return DecodeFailed("unexpected EOF or invalid JSON");
  }
  return value;
}

ObjectReader::ObjectReader(const json& value, std::string path) : path_(std::move(path)) {
  if (value.is_object()) {
    object_ = &value;
  } else if (!value.is_null()) {
    Fail(DecodeFailed(absl::StrFormat("json: cannot unmarshal %s into Go value of type %s",
                                      GoTypeOf(value), path_)));
  }
}

const json* ObjectReader::Take(std::string_view name) {
  known_.push_back(Fold(name));
  if (object_ == nullptr || !error_.ok()) return nullptr;
  for (const auto& [given, value] : object_->items()) {
    if (Fold(given) == known_.back()) return value.is_null() ? nullptr : &value;
  }
  return nullptr;
}

void ObjectReader::Fail(absl::Status error) {
  if (error_.ok()) error_ = std::move(error);
}

void ObjectReader::WrongType(std::string_view name, const json& value, std::string_view expected) {
  Fail(DecodeFailed(
      absl::StrFormat("json: cannot unmarshal %s into Go struct field %s.%s of type %s",
                      GoTypeOf(value), path_, name, expected)));
}

ObjectReader& ObjectReader::String(std::string_view name, std::string& target) {
  const json* value = Take(name);
  if (value == nullptr) return *this;
  if (!value->is_string()) {
    WrongType(name, *value, "string");
  } else {
    target = value->get_ref<const std::string&>();
  }
  return *this;
}

ObjectReader& ObjectReader::Bool(std::string_view name, bool& target) {
  const json* value = Take(name);
  if (value == nullptr) return *this;
  if (!value->is_boolean()) {
    WrongType(name, *value, "bool");
  } else {
    target = value->get<bool>();
  }
  return *this;
}

ObjectReader& ObjectReader::Int(std::string_view name, int64_t& target) {
  const json* value = Take(name);
  if (value == nullptr) return *this;
  if (!value->is_number_integer()) {
    WrongType(name, *value, "int");
  } else {
    target = value->get<int64_t>();
  }
  return *this;
}

ObjectReader& ObjectReader::Duration(std::string_view name, absl::Duration& target) {
  const json* value = Take(name);
  if (value == nullptr) return *this;
  if (value->is_number_integer()) {
    target = absl::Nanoseconds(value->get<int64_t>());
  } else if (!value->is_string()) {
    WrongType(name, *value, "string");
  } else if (const auto& text = value->get_ref<const std::string&>(); !text.empty()) {
    const absl::StatusOr<absl::Duration> parsed = ParseGoDuration(text);
    if (parsed.ok()) {
      target = *parsed;
    } else {
      Fail(DecodeFailed(std::string(parsed.status().message())));
    }
  }
  return *this;
}

ObjectReader& ObjectReader::Strings(std::string_view name, std::vector<std::string>& target) {
  return Each(name, [&](const std::string& member, const json& element) {
    if (!element.is_string() || !member.empty()) {
      WrongType(name, element, "[]string");
      return error_;
    }
    target.push_back(element.get<std::string>());
    return absl::OkStatus();
  });
}

ObjectReader& ObjectReader::Pairs(std::string_view name, TextPairs& target) {
  return Each(name, [&](const std::string& member, const json& value) {
    if (!value.is_string()) {
      WrongType(name, value, "string");
      return error_;
    }
    target.emplace_back(member, value.get<std::string>());
    return absl::OkStatus();
  });
}

ObjectReader& ObjectReader::PairsOfLists(
    std::string_view name, std::vector<std::pair<std::string, std::vector<std::string>>>& target) {
  return Each(name, [&](const std::string& member, const json& value) {
    std::vector<std::string>& list = target.emplace_back(member, std::vector<std::string>()).second;
    for (const json& element : value) {
      if (!value.is_array() || !element.is_string()) {
        WrongType(name, value, "[]string");
        return error_;
      }
      list.push_back(element.get<std::string>());
    }
    return absl::OkStatus();
  });
}

ObjectReader& ObjectReader::With(std::string_view name, const ReadValue& read) {
  const json* value = Take(name);
  if (value != nullptr) Fail(read(*value));
  return *this;
}

ObjectReader& ObjectReader::Each(std::string_view name, const ReadMember& read) {
  const json* value = Take(name);
  if (value == nullptr) return *this;
  if (!value->is_structured()) {
    WrongType(name, *value, "list or map");
    return *this;
  }
  for (const auto& [member, element] : value->items()) {
    Fail(read(value->is_object() ? member : "", element));
    if (!error_.ok()) break;
  }
  return *this;
}

ObjectReader& ObjectReader::Ignore(std::string_view name) {
  Take(name);
  return *this;
}

ObjectReader& ObjectReader::IgnoreOthers() {
  ignore_others_ = true;
  return *this;
}

absl::Status ObjectReader::Finish() const {
  if (!error_.ok() || object_ == nullptr || ignore_others_) return error_;
  for (const auto& [name, value] : object_->items()) {
    if (std::find(known_.begin(), known_.end(), Fold(name)) == known_.end()) {
      return DecodeFailed(absl::StrFormat("json: unknown field \"%s\"", name));
    }
  }
  return absl::OkStatus();
}

}  // namespace pharos::http
