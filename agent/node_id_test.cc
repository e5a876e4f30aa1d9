#include "agent/node_id.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/file.h"

namespace pharos::agent {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;

constexpr char kGiven[] = "f7a1b1e2-0c4d-4b5e-9a3f-000000000001";
constexpr char kUuid[] = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";

// The id, or why there is none.
std::string Load(const std::string& given, const std::string& data_dir) {
  const absl::StatusOr<std::string> id = LoadNodeId(given, data_dir);
  return id.ok() ? *id : id.status().ToString();
}

class LoadNodeIdTest : public testing::Test {
 protected:
  LoadNodeIdTest() {
    std::string pattern = testing::TempDir() + "pharos-node-id-XXXXXX";
    folder_ = mkdtemp(pattern.data());
    data_dir_ = folder_ + "/not/made/yet";
  }
  ~LoadNodeIdTest() override { std::filesystem::remove_all(folder_); }

  void Keep(std::string_view content) const {
    std::filesystem::create_directories(data_dir_);
    std::ofstream(data_dir_ + "/node-id") << content;
  }
  // Of the file; or why it cannot be read.
  std::string Kept() const {
    const absl::StatusOr<std::string> kept = ReadFile(data_dir_ + "/node-id", 1024);
    return kept.ok() ? *kept : kept.status().ToString();
  }

  std::string folder_, data_dir_;
};

TEST_F(LoadNodeIdTest, MakesOneOnceAndKeepsIt) {
  const std::string first = Load("", data_dir_);
  EXPECT_THAT(first, MatchesRegex(kUuid));
  EXPECT_EQ(Kept(), first + "\n");
  EXPECT_EQ(Load("", data_dir_), first);
}

TEST_F(LoadNodeIdTest, KeepsTheOneGivenInThePlaceOfAnyOther) {
  const struct {
    std::string_view shows, file;
  } kRows[] = {
      {"another id", "f7a1b1e2-0c4d-4b5e-9a3f-000000000002\n"},
      {"no id", "not a UUID\n"},
      {"the same", "f7a1b1e2-0c4d-4b5e-9a3f-000000000001\n"},
  };
  for (const auto& row : kRows) {
    Keep(row.file);
    EXPECT_EQ(Load(kGiven, data_dir_), kGiven) << row.shows;
    EXPECT_EQ(Kept(), std::string(kGiven) + "\n") << row.shows;
    EXPECT_EQ(Load("", data_dir_), kGiven) << row.shows << ": not given the next time";
  }
}

TEST_F(LoadNodeIdTest, WithoutDataDirIsNewEachTime) {
  EXPECT_EQ(Load(kGiven, ""), kGiven);
  const std::string first = Load("", "");
  EXPECT_THAT(first, MatchesRegex(kUuid));
  EXPECT_NE(Load("", ""), first);
}

TEST_F(LoadNodeIdTest, RefusesAFileThatHoldsNoUuidAndLeavesIt) {
  const struct {
    std::string file, shown;
  } kRows[] = {
      {"", "\"\""},
      {"node-7\n", "\"node-7\""},
      {"f7a1b1e2-0c4d-4b5e-9a3f-00000000000\n", "\"f7a1b1e2-0c4d-4b5e-9a3f-00000000000\""},
      {"f7a1b1e2-0c4d-4b5e-9a3f-00000000000g\n", "\"f7a1b1e2-0c4d-4b5e-9a3f-00000000000g\""},
      {"f7a1b1e200c4d-4b5e-9a3f-000000000001\n", "\"f7a1b1e200c4d-4b5e-9a3f-000000000001\""},
      {std::string(200, 'x'), '"' + std::string(64, 'x') + '"'},
  };
  for (const auto& row : kRows) {
    Keep(row.file);
    EXPECT_EQ(LoadNodeId("", data_dir_).status(),
              absl::DataLossError(data_dir_ + "/node-id holds " + row.shown +
                                  "; expected the UUID of this node. Put it back, or remove the "
                                  "file for a new one"));
    EXPECT_EQ(Kept(), row.file);
  }
}

TEST_F(LoadNodeIdTest, ErrorsNameTheFile) {
  Keep(std::string(257, 'x'));
  EXPECT_THAT(std::string(LoadNodeId("", data_dir_).status().message()),
              HasSubstr(data_dir_ + "/node-id"));
  // A data_dir that cannot be made: its parent is a file.
  const std::string below_a_file = data_dir_ + "/node-id/data";
  const absl::Status status = LoadNodeId("", below_a_file).status();
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr(below_a_file));
}

}  // namespace
}  // namespace pharos::agent
