// The files that a pool keeps, and addresses that people write.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/file.h"
#include "cluster/gossip/join_address.h"
#include "cluster/gossip/keyring_file.h"
#include "cluster/gossip/snapshot_file.h"

namespace pharos::gossip {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

std::string NewFolder() {
  std::string path = testing::TempDir() + "gossip-XXXXXX";
  EXPECT_NE(mkdtemp(path.data()), nullptr);
  return path;
}

TEST(SnapshotFile, RemembersWhoWasAlive) {
  const std::string path = NewFolder() + "/local.snapshot";
  {
    auto file = *SnapshotFile::Open(path, false);
    file->SetAlive("a", "10.0.0.1:7946");
    file->SetAlive("b with blanks", "[::1]:7946");
    file->SetAlive("c", "10.0.0.3:7946");
    file->SetGone("c");
    file->SetClocks(7, 8, 9);
    EXPECT_TRUE(file->Flush().ok());
  }
  const auto again = *SnapshotFile::Open(path, false);
  EXPECT_THAT(again->memory().alive,
              ElementsAre(Pair("a", "10.0.0.1:7946"), Pair("b with blanks", "[::1]:7946")));
  EXPECT_EQ(again->memory().clock, 7u);
  EXPECT_EQ(again->memory().event_clock, 8u);
  EXPECT_EQ(again->memory().query_clock, 9u);
}

TEST(SnapshotFile, ForgetsWhereTheNodeLeft) {
  const std::string path = NewFolder() + "/local.snapshot";
  {
    auto file = *SnapshotFile::Open(path, false);
    file->SetAlive("a", "10.0.0.1:7946");
    file->SetLeft();
    EXPECT_TRUE(file->Flush().ok());
  }
  const std::string text = *ReadFile(path, 1 << 20);
  EXPECT_THAT(ParsePoolMemory(text, false).alive, IsEmpty());
  EXPECT_THAT(ParsePoolMemory(text, true).alive, ElementsAre(Pair("a", "10.0.0.1:7946")));
}

TEST(SnapshotFile, IsWrittenAnewBeforeItGrows) {
  const std::string path = NewFolder() + "/local.snapshot";
  auto file = *SnapshotFile::Open(path, false);
  for (int i = 0; i < 20'000; ++i) {
    file->SetAlive("a", i % 2 == 0 ? "10.0.0.1:7946" : "10.0.0.2:7946");
    ASSERT_TRUE(file->Flush().ok());
  }
  struct stat status {};
  ASSERT_EQ(stat(path.c_str(), &status), 0);
  EXPECT_LT(status.st_size, 129 << 10);
}

TEST(ParsePoolMemory, PassesOverWhatIsMalformed) {
  const PoolMemory memory = ParsePoolMemory(
      "# comment\nalive: \nalive: x\nalive: y 1.2.3.4:5\nclock: x\nclock: 3\nodd\nalive: z 1.2",
      false);
  EXPECT_THAT(memory.alive, ElementsAre(Pair("y", "1.2.3.4:5")));
  EXPECT_EQ(memory.clock, 3u);
}

TEST(KeyringFile, KeepsTheOrderAndIsPrivate) {
  const std::string path = NewFolder() + "/serf/local.keyring";
  const std::string a(16, 'a'), b(32, 'b'), c(24, 'c');
  ASSERT_TRUE(SaveKeyring(path, Keyring({b, a})).ok());
  EXPECT_THAT(LoadKeyring(path, "")->keys(), ElementsAre(b, a));
  EXPECT_THAT(LoadKeyring(path, FormatKey(c))->keys(), ElementsAre(b, a)) << "it was removed";
  EXPECT_FALSE(LoadKeyring(path, "c2hvcnQ=").ok());
  EXPECT_THAT(LoadKeyring(path + ".new", FormatKey(a))->keys(), ElementsAre(a));
  EXPECT_THAT(LoadKeyring(path + ".new", FormatKey(c))->keys(), ElementsAre(a)) << "it is kept";
  EXPECT_THAT(LoadKeyring("", FormatKey(a))->keys(), ElementsAre(a));
  struct stat status {};
  ASSERT_EQ(stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  ASSERT_TRUE(ReplaceFile(path, "[\"c2hvcnQ=\"]").ok());
  EXPECT_THAT(std::string(LoadKeyring(path, "").status().message()),
              testing::HasSubstr("it has 5 octets"));
}

TEST(ParseJoinAddress, TakesWhatPeopleWrite) {
  const struct {
    const char *text, *node, *host;
    int port;
  } kRows[] = {
      {"10.0.0.1", "", "10.0.0.1", 8301},
      {"10.0.0.1:9", "", "10.0.0.1", 9},
      {"::1", "", "::1", 8301},
      {"[::1]", "", "::1", 8301},
      {"[::1]:9", "", "::1", 9},
      {"a.example", "", "a.example", 8301},
      {"a.example:9", "", "a.example", 9},
      {"node.dc2/10.0.0.1:9", "node.dc2", "10.0.0.1", 9},
  };
  for (const auto& row : kRows) {
    const auto address = ParseJoinAddress(row.text, 8301);
    ASSERT_TRUE(address.ok()) << address.status();
    EXPECT_EQ(address->node, row.node);
    EXPECT_EQ(address->host, row.host);
    EXPECT_EQ(address->port, row.port);
  }
  for (const char* text : {"", ":1", "a:", "a:0", "a:65536", "a:x", "[::1", "[::1]9", "[a]:1", "/a",
                           "a b", "provider=aws x"}) {
    EXPECT_FALSE(ParseJoinAddress(text, 8301).ok()) << text;
  }
}

}  // namespace
}  // namespace pharos::gossip
