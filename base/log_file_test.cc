#include "base/log_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

namespace pharos {
namespace {

namespace fs = std::filesystem;

class LogFileTest : public testing::Test {
 protected:
  LogFileTest() : folder_(fs::path(testing::TempDir()) / "log_file_test") {
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    options_.path = (folder_ / "agent.log").string();
  }
  ~LogFileTest() override { fs::remove_all(folder_); }

  void Open() {
    auto file = LogFile::Open(options_, now_);
    ASSERT_TRUE(file.ok()) << file.status();
    file_ = *std::move(file);
  }
  void Write(const std::string& line) {
    file_->Write(line, now_);
    now_ += absl::Seconds(1);
  }
  std::map<std::string, std::string> Files() const {
    std::map<std::string, std::string> files;
    for (const auto& file : fs::directory_iterator(folder_)) {
      std::ifstream stream(file.path());
      files[file.path().filename().string()] = {std::istreambuf_iterator<char>(stream), {}};
    }
    return files;
  }

  using FilesAre = std::map<std::string, std::string>;
  fs::path folder_;
  LogFileOptions options_;
  absl::Time now_ = absl::FromUnixSeconds(1000000000);
  std::unique_ptr<LogFile> file_;
};

TEST_F(LogFileTest, AppendsToWhatIsThere) {
  Open();
  Write("one\n");
  Open();
  Write("two\n");
  EXPECT_EQ(Files(), (FilesAre{{"agent.log", "one\ntwo\n"}}));
}

TEST_F(LogFileTest, BeginsAnewBeforeItIsTooLarge) {
  options_.octets_max = 8;
  Open();
  for (const char* line : {"one\n", "two\n", "three\n"}) Write(line);
  EXPECT_EQ(Files(),
            (FilesAre{{"agent.log", "three\n"}, {"agent-1000000002000000000.log", "one\ntwo\n"}}));
  now_ = absl::FromUnixSeconds(1000000010);
  Open();
  Write("4\n");
  Write("a line that is longer than a file may be\n");
  EXPECT_EQ(Files().at("agent-1000000011000000000.log"), "three\n4\n")
      << "what was there when it was opened counts";
  EXPECT_EQ(Files().at("agent.log"), "a line that is longer than a file may be\n");
}

TEST_F(LogFileTest, BeginsAnewWhenItIsOld) {
  options_.age_max = absl::Hours(24);
  Open();
  Write("one\n");
  now_ += absl::Hours(24);
  Write("two\n");
  EXPECT_EQ(Files(),
            (FilesAre{{"agent.log", "two\n"}, {"agent-1000086401000000000.log", "one\n"}}));
}

TEST_F(LogFileTest, KeepsAsManyAsItMay) {
  std::ofstream(folder_ / "agent-notes.log") << "somebody else's";
  options_.octets_max = 1;
  options_.kept_max = 2;
  Open();
  for (const char* line : {"1\n", "2\n", "3\n", "4\n"}) Write(line);
  EXPECT_EQ(Files(), (FilesAre{{"agent.log", "4\n"},
                               {"agent-1000000002000000000.log", "2\n"},
                               {"agent-1000000003000000000.log", "3\n"},
                               {"agent-notes.log", "somebody else's"}}));
  options_.kept_max = -1;
  Open();
  Write("5\n");
  EXPECT_EQ(Files(), (FilesAre{{"agent.log", "5\n"}, {"agent-notes.log", "somebody else's"}}));
}

TEST_F(LogFileTest, NamesAFileInAFolder) {
  options_.path = folder_.string() + "/";
  Open();
  Write("one\n");
  EXPECT_EQ(Files(), (FilesAre{{"pharos.log", "one\n"}}));
}

TEST_F(LogFileTest, SaysWhichFileCannotBeOpened) {
  options_.path = (folder_ / "missing" / "agent.log").string();
  const auto file = LogFile::Open(options_, now_);
  EXPECT_EQ(file.status().message(),
            "log_file \"" + options_.path + "\" cannot be opened: No such file or directory");
}

}  // namespace
}  // namespace pharos
