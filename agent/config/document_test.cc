// docs/configuration.md and the table of keys say the same.
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "agent/config/schema.h"
#include "base/file.h"

namespace pharos::agent {
namespace {

struct Documented {
  std::string effect, change;
};

// The keys in backquotes of a table row's first cell.
std::vector<std::string> KeysOf(const std::string& cell) {
  const std::vector<std::string> parts = absl::StrSplit(cell, '`');
  std::vector<std::string> keys;
  for (size_t i = 1; i < parts.size(); i += 2) keys.push_back(parts[i]);
  return keys;
}

std::map<std::string, Documented> ReadDocument() {
  const auto text = ReadFile(PHAROS_CONFIGURATION_DOCUMENT, size_t{1} << 20);
  EXPECT_TRUE(text.ok()) << text.status();
  std::map<std::string, Documented> documented;
  const std::vector<std::string> lines = absl::StrSplit(*text, '\n');
  for (const std::string& line : lines) {
    const std::vector<std::string> cells = absl::StrSplit(line, " | ");
    if (!line.starts_with("| `") || cells.size() < 5) continue;
    for (const std::string& key : KeysOf(cells[0])) {
      EXPECT_TRUE(documented.try_emplace(key, Documented{cells[3], cells[4]}).second) << key;
    }
  }
  return documented;
}

TEST(ConfigurationDocument, HasEveryKeyAndNoOther) {
  std::map<std::string, Documented> documented = ReadDocument();
  for (const Key& key : ConfigKeys()) {
    const auto found = documented.find(std::string(key.path));
    ASSERT_NE(found, documented.end()) << key.path << " is not in the document";
    EXPECT_EQ(found->second.effect, key.effect == Effect::kYes ? "yes" : "none yet") << key.path;
    EXPECT_EQ(found->second.change, key.change == Change::kReload ? "a reload" : "a restart")
        << key.path;
    documented.erase(found);
  }
  for (const auto& [key, row] : documented) ADD_FAILURE() << key << " is in the document only";
}

}  // namespace
}  // namespace pharos::agent
