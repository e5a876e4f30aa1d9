// What libraft's disk passes over, and must end the process: an agent would go on with a log that
// is another after its next start.
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
#include "base/loop.h"
#include "cluster/no_raft_host.h"
#include "cluster/raft_disk.h"
#include "cluster/raft_engine.h"

namespace pharos::cluster {
namespace {

class Host : public NoRaftHost {
 public:
  void Send(uint64_t, peer::v1::Raft message) override {
    if (message.append_entries_result().last_log_index() == 2) written.set_value();
  }
  [[noreturn]] void OnFatal(const std::string& why) override { Fatal(why); }

  [[noreturn]] static void Fatal(const std::string& why) {
    std::fprintf(stderr, "fatal: %s\n", why.c_str());
    _exit(3);
  }

  std::promise<void> written;
};

peer::v1::Raft Heartbeat(uint64_t term) {
  peer::v1::Raft message;
  message.set_term(term);
  message.mutable_append_entries()->set_prev_log_index(1);
  message.mutable_append_entries()->set_prev_log_term(1);
  return message;
}

peer::v1::Raft EntryOfTerm(uint64_t term) {
  peer::v1::Raft message = Heartbeat(term);
  auto& append = *message.mutable_append_entries();
  append.add_terms(term);
  append.add_types(1);
  append.add_octets(8);
  append.set_data("an entry");
  return message;
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
    std::vector<RaftServer> servers;
    for (const uint64_t id : {1u, 2u, 3u}) {
      servers.push_back({.id = id, .address = std::to_string(id), .role = RaftRole::kVoter});
    }
    CHECK(engine->Bootstrap(servers).ok());
    CHECK(engine->Start().ok());
    engine->Receive(2, EntryOfTerm(2));
  });
  host.written.get_future().wait();
  loop.PostAndWait([&] {
    // The term is stored while there is a folder to store it in.
    engine->Receive(3, Heartbeat(3));
    std::filesystem::rename(folder, folder + ".gone");
    engine->Receive(3, EntryOfTerm(3));
  });
  std::promise<void> never;
  never.get_future().wait_for(std::chrono::seconds(20));
  _exit(0);
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
