// What libraft's disk passes over and must end the process, as an agent would go on with a log that
// is another after its next start; and what a crash leaves of it.
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/file.h"
#include "base/loop.h"
#include "cluster/no_raft_host.h"
#include "cluster/raft_disk.h"
#include "cluster/raft_engine.h"

namespace pharos::cluster {
namespace {

class Host : public NoRaftHost {
 public:
  void Send(uint64_t, peer::v1::Raft message) override {
    if (message.append_entries_result().last_log_index() == awaited) written.set_value();
  }
  [[noreturn]] void OnFatal(const std::string& why) override { Fatal(why); }

  [[noreturn]] static void Fatal(const std::string& why) {
    std::fprintf(stderr, "fatal: %s\n", why.c_str());
    _exit(3);
  }

  uint64_t awaited = 2;  // Once this entry is written, `written` is set.
  std::promise<void> written;
};

peer::v1::Raft Heartbeat(uint64_t term) {
  peer::v1::Raft message;
  message.set_term(term);
  message.mutable_append_entries()->set_prev_log_index(1);
  message.mutable_append_entries()->set_prev_log_term(1);
  return message;
}

peer::v1::Raft EntriesOfTerm(uint64_t term, int count = 1) {
  peer::v1::Raft message = Heartbeat(term);
  auto& append = *message.mutable_append_entries();
  for (int i = 0; i < count; ++i) {
    append.add_terms(term);
    append.add_types(1);
    append.add_octets(8);
    append.mutable_data()->append("an entry");
  }
  return message;
}

absl::Status BootstrapThree(RaftEngine& engine) {
  std::vector<RaftServer> servers;
  for (const uint64_t id : {1u, 2u, 3u}) {
    servers.push_back({.id = id, .address = std::to_string(id), .role = RaftRole::kVoter});
  }
  return engine.Bootstrap(servers);
}

// A follower has written an entry of one leader, and the next leader has another in its place; but
// the folder of its log has gone. Returns only if nobody minds.
void TruncateWithoutAFolder(const std::string& folder) {
  Loop loop("raft");
  Host host;
  std::unique_ptr<RaftDisk> disk;
  std::unique_ptr<RaftEngine> engine;
  loop.PostAndWait([&] {
    disk = *OpenUvRaftDisk(loop.uv(), folder, Host::Fatal);
    engine = std::make_unique<RaftEngine>(RaftEngineOptions{.id = 1, .address = "1"}, *disk, host);
    CHECK(BootstrapThree(*engine).ok());
    CHECK(engine->Start().ok());
    engine->Receive(2, EntriesOfTerm(2));
  });
  host.written.get_future().wait();
  loop.PostAndWait([&] {
    // The term is stored while there is a folder to store it in.
    engine->Receive(3, Heartbeat(3));
    std::filesystem::rename(folder, folder + ".gone");
    engine->Receive(3, EntriesOfTerm(3));
  });
  std::promise<void> never;
  never.get_future().wait_for(std::chrono::seconds(20));
  _exit(0);
}

// Runs an engine on the folder until `awaited` is written; returns the last index that it began
// with.
uint64_t RunUntil(const std::string& folder, uint64_t awaited, const peer::v1::Raft& message) {
  Loop loop("raft");
  Host host;
  host.awaited = awaited;
  std::unique_ptr<RaftDisk> disk;
  std::unique_ptr<RaftEngine> engine;
  uint64_t began_with = 0;
  loop.PostAndWait([&] {
    disk = *OpenUvRaftDisk(loop.uv(), folder, Host::Fatal);
    engine = std::make_unique<RaftEngine>(RaftEngineOptions{.id = 1, .address = "1"}, *disk, host);
    // Not the second time.
    static_cast<void>(BootstrapThree(*engine));
    CHECK(engine->Start().ok());
    began_with = engine->last_index();
    engine->Receive(2, message);
  });
  host.written.get_future().wait();
  std::promise<void> closed;
  loop.PostAndWait([&] { engine->Close([&closed] { closed.set_value(); }); });
  closed.get_future().wait();
  loop.PostAndWait([&] {
    engine.reset();
    disk.reset();
  });
  return began_with;
}

TEST(UvDisk, StartsAfterACrashInTheMiddleOfATruncation) {
  std::string folder = testing::TempDir() + "uv_disk_test_XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  RunUntil(folder, 4, EntriesOfTerm(2, 3));
  // What libraft would have written next, had it been told to forget the last entry.
  ASSERT_TRUE(std::filesystem::exists(folder + "/0000000000000002-0000000000000004"));
  ASSERT_TRUE(ReplaceFileLoosely(folder + "/0000000000000002-0000000000000003", "shorter").ok());
  EXPECT_EQ(RunUntil(folder, 4, EntriesOfTerm(2, 3)), 4u);
  std::filesystem::remove_all(folder);
}

TEST(UvDiskDeathTest, StopsWhenTheLogCannotBeTruncated) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  // The process that is to die runs this test, too, up to there.
  constexpr const char* kFolder = "UV_DISK_TEST_FOLDER";
  if (getenv(kFolder) == nullptr) {
    std::string made = testing::TempDir() + "uv_disk_test_XXXXXX";
    ASSERT_NE(mkdtemp(made.data()), nullptr);
    setenv(kFolder, made.c_str(), 1);
  }
  const std::string folder = getenv(kFolder);
  EXPECT_EXIT(TruncateWithoutAFolder(folder), testing::ExitedWithCode(3),
              "fatal: the Raft log cannot be written");
  std::filesystem::remove_all(folder);
  std::filesystem::remove_all(folder + ".gone");
  unsetenv(kFolder);
}

}  // namespace
}  // namespace pharos::cluster
