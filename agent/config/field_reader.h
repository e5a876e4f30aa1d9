// Reads the fields of one definition object, each by its name without regard to case and
// underscores, and complains about those that nobody asked for.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "agent/config/problems.h"
#include "agent/config/value.h"

namespace pharos::agent {

// A field that is absent or null leaves its target as it was. A wrong type goes to `problems`.
class FieldReader {
 public:
  // Borrows all three. `path` is what messages call the object: services[0]. An object may also
  // come as a list of one; anything else is a problem and reads as empty.
  FieldReader(const Value& object, std::string path, Problems& problems);

  void Text(std::string_view name, std::string& target);
  void Bool(std::string_view name, bool& target);
  // In `min`..`max`.
  void Int(std::string_view name, int& target, int min, int max);
  void Port(std::string_view name, int& target);
  void Duration(std::string_view name, absl::Duration& target);
  void TextList(std::string_view name, std::vector<std::string>& target);
  void TextMap(std::string_view name, std::vector<std::pair<std::string, std::string>>& target);
  void TextListMap(std::string_view name,
                   std::vector<std::pair<std::string, std::vector<std::string>>>& target);
  // The raw value, or null.
  const Value* Any(std::string_view name);
  // Reports the fields that were never asked for. Call it last.
  void ReportUnknown();

  std::string PathOf(std::string_view name) const;
  // The object's own place.
  const Position& at() const { return object_->at; }
  void Problem(const Position& at, std::string_view message) { problems_.Add(at, message); }

 private:
  const Value* Take(std::string_view name, Value::Kind kind, std::string_view type_word);
  void AppendTexts(const Value& list, const std::string& path, std::vector<std::string>& target);

  const Value* object_;
  std::string path_;
  Problems& problems_;
  std::vector<std::string_view> asked_;
};

}  // namespace pharos::agent
