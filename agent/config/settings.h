// Typed reads from a merged tree that was checked against the schema.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "agent/config/problems.h"
#include "agent/config/value.h"

namespace pharos::agent {

// A key that is not set leaves its target as it was, so targets hold the defaults. Values of a
// wrong type, which the schema has complained of already, count as not set.
class Settings {
 public:
  // Borrows all three.
  Settings(const Value& tree, const SourceNames& names, Problems& problems)
      : tree_(tree), names_(names), problems_(problems) {}

  void Read(std::string_view path, bool& target) const;
  void Read(std::string_view path, double& target) const;
  void Read(std::string_view path, std::string& target) const;
  void Read(std::string_view path, absl::Duration& target) const;  // Negative ones are a problem.
  void Read(std::string_view path, std::vector<std::string>& target) const;
  void Read(std::string_view path, std::vector<std::pair<std::string, std::string>>& target) const;
  void Read(std::string_view path,
            std::vector<std::pair<std::string, absl::Duration>>& target) const;
  // `min` to `max`, else a problem that says so.
  void ReadInt(std::string_view path, int64_t min, int64_t max, int64_t& target) const;
  void ReadInt(std::string_view path, int64_t min, int64_t max, int& target) const;
  void ReadInt(std::string_view path, int64_t min, int64_t max, uint32_t& target) const;
  // 0 and below read as -1.
  void ReadPort(std::string_view path, int& target) const;

  bool Has(std::string_view path) const { return tree_.FindPath(path) != nullptr; }
  const Value* Find(std::string_view path) const { return tree_.FindPath(path); }
  // A problem with, or a warning about, what was given for `path`; at its place if it was given.
  void Problem(std::string_view path, std::string message) const;
  std::string Located(std::string_view path, std::string message) const;

 private:
  const Value* FindKind(std::string_view path, Value::Kind kind) const;
  absl::Duration ReadDuration(std::string_view path, const Value& value) const;

  const Value& tree_;
  const SourceNames& names_;
  Problems& problems_;
};

}  // namespace pharos::agent
