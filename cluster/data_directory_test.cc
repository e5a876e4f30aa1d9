#include "cluster/data_directory.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace pharos::cluster {
namespace {

class DataDirectoryTest : public testing::Test {
 protected:
  DataDirectoryTest() {
    std::string pattern = testing::TempDir() + "pharos-data-XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~DataDirectoryTest() override { std::filesystem::remove_all(path_); }

  auto Open(const std::string& node_id = "node-1") { return DataDirectory::Open(path_, node_id); }
  void Put(const std::string& name, const std::string& text) {
    std::filesystem::create_directories(
        std::filesystem::path(path_ + "/raft/" + name).parent_path());
    std::ofstream(path_ + "/raft/" + name) << text;
  }

  std::string path_;
};

TEST_F(DataDirectoryTest, KeepsWhoTheServerIs) {
  uint64_t raft_id = 0;
  {
    const auto directory = Open();
    ASSERT_TRUE(directory.ok()) << directory.status();
    raft_id = (*directory)->raft_id();
    EXPECT_NE(raft_id, 0u);
    EXPECT_TRUE((*directory)->SetClusterId("c-1").ok());
    peer::v1::Server peer;
    peer.set_raft_id(7);
    peer.set_name("seven");
    peer.set_address("10.0.0.7:8300");
    EXPECT_TRUE((*directory)->SavePeers({peer}).ok());
  }
  const auto again = Open();
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ((*again)->raft_id(), raft_id);
  EXPECT_EQ((*again)->cluster_id(), "c-1");
  ASSERT_EQ((*again)->LoadPeers().size(), 1u);
  EXPECT_EQ((*again)->LoadPeers()[0].address(), "10.0.0.7:8300");
  EXPECT_TRUE(absl::IsFailedPrecondition((*again)->SetClusterId("c-2")));
}

TEST_F(DataDirectoryTest, IsOfOneProcessAtATime) {
  const auto first = Open();
  ASSERT_TRUE(first.ok());
  const auto second = Open();
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status()));
  EXPECT_NE(second.status().message().find("another process uses"), absl::string_view::npos);
}

TEST_F(DataDirectoryTest, RefusesWhatIsNotItsOwn) {
  const struct {
    std::string_view shows;
    std::string file, text;
    absl::StatusCode want;
    std::string_view says;
  } kRows[] = {
      {"Consul's", "raft.db", "", absl::StatusCode::kFailedPrecondition, "Raft log of Consul"},
      {"a newer version's", "server.json", R"({"format": 2, "raft_id": "1"})",
       absl::StatusCode::kFailedPrecondition, "from a newer version"},
      {"another node's", "server.json",
       R"({"format": 1, "raft_id": "1", "cluster_id": "c", "node_id": "node-2"})",
       absl::StatusCode::kFailedPrecondition, "it seems to be a copy"},
      {"damaged", "server.json", "{", absl::StatusCode::kDataLoss, "no JSON object"},
      {"without an id", "server.json", R"({"format": 1})", absl::StatusCode::kDataLoss,
       "has no raft_id"},
      {"a log of nobody", "log/metadata1", "x", absl::StatusCode::kDataLoss, "no server.json"},
  };
  for (const auto& row : kRows) {
    std::filesystem::remove_all(path_ + "/raft");
    Put(row.file, row.text);
    const auto opened = Open();
    EXPECT_EQ(opened.status().code(), row.want) << row.shows;
    EXPECT_NE(std::string(opened.status().message()).find(row.says), std::string::npos)
        << row.shows << ": " << opened.status();
  }
}

}  // namespace
}  // namespace pharos::cluster
