#include "cluster/raft_node.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "cluster/memory_disk.h"

namespace pharos::cluster {
namespace {

constexpr uint64_t kHeartbeatMs = 100;
constexpr uint64_t kElectionMs = 500;
constexpr uint64_t kHoldMs = 7'000;

// Three servers, a disk each that writes at once, and a network that carries everything in order.
class Trio {
 public:
  // What becomes of what is sent to a server that is down.
  enum class Down : uint8_t { kNot, kRefuses, kSwallows };

  Trio() {
    for (uint64_t id = 1; id <= kServers; ++id) at(id).Start(*this, id);
    for (Server& server : servers_) {
      for (Server& other : servers_) server.node->Learn(other.node->self(), true);
    }
    for (int i = 0; i < 300 && !IsComplete(); ++i) Beat();
    CHECK(IsComplete());
  }
  ~Trio() {
    for (Server& server : servers_) {
      bool closed = false;
      server.node->Close([&closed] { closed = true; });
      server.disk->Finish();
      CHECK(closed);
    }
  }

  RaftNode& node(uint64_t id) { return *at(id).node; }
  uint64_t now_ms() const { return now_ms_; }
  // 0: none, as far as those know that are up.
  uint64_t leader() {
    for (uint64_t id = 1; id <= kServers; ++id) {
      if (at(id).down == Down::kNot && node(id).engine().is_leader()) return id;
    }
    return 0;
  }
  uint64_t follower() { return leader() == 1 ? 2 : 1; }
  void TakeDown(uint64_t id, Down how) { at(id).down = how; }
  // Nothing leaves the server, though all are up.
  void CutOff(uint64_t id, bool cut) { at(id).cut_off = cut; }
  void LoseConnectionsTo(uint64_t id) {
    for (uint64_t other = 1; other <= kServers; ++other) {
      if (other != id) node(other).PeerLost(id);
    }
  }

  // One heartbeat time, and all that follows from it.
  void Beat() {
    now_ms_ += kHeartbeatMs;
    for (Server& server : servers_) {
      if (server.down == Down::kNot) server.node->Tick();
    }
    Run();
  }
  void Run() {
    while (!later_.empty()) {
      const std::function<void()> next = std::move(later_.front());
      later_.pop_front();
      next();
      for (Server& server : servers_) {
        if (server.down == Down::kNot) server.node->Settle();
      }
    }
  }

 private:
  static constexpr uint64_t kServers = 3;

  struct Server : RaftNodeHost {
    void Start(Trio& of, uint64_t as) {
      trio = &of;
      id = as;
      disk = std::make_unique<MemoryDisk>(
          &content, [this] { return trio->now_ms_; },
          [this](std::function<void()> work) { trio->later_.push_back(std::move(work)); }, id);
      RaftNodeOptions options;
      options.self.set_raft_id(id);
      options.self.set_name(absl::StrCat("server-", id));
      options.self.set_address(absl::StrCat("10.0.0.", id, ":8300"));
      options.self.set_datacenter("dc1");
      options.engine = {.id = id,
                        .address = EncodeServerAddress(options.self),
                        .election_timeout_ms = kElectionMs,
                        .heartbeat_ms = kHeartbeatMs};
      options.hold = absl::Milliseconds(kHoldMs);
      options.seed = id;
      node = std::make_unique<RaftNode>(options, *disk, *this);
      if (id == 1) CHECK(node->Bootstrap().ok());
      CHECK(node->Start().ok());
    }
    bool SendTo(uint64_t to, peer::v1::Message message) override {
      if (!Reaches(to)) return false;
      trio->later_.push_back([this, to, message = std::move(message)] {
        Server& target = trio->at(to);
        if (down == Down::kNot && target.down == Down::kNot) target.node->Receive(id, message);
      });
      return true;
    }
    bool Reaches(uint64_t to) override { return !cut_off && trio->at(to).down != Down::kRefuses; }
    void SendSnapshotTo(uint64_t, peer::v1::InstallSnapshot,
                        std::shared_ptr<const RaftBuffer>) override {}
    void RunElsewhere(std::function<void()> work, std::function<void()> done) override {
      work();
      trio->later_.push_back(std::move(done));
    }
    void OnPublished(const registry::Changes&) override {}
    void OnClusterId(const std::string&) override {}
    std::string NewClusterId() override { return "cluster"; }
    [[noreturn]] void OnFatal(const std::string& why) override {
      ADD_FAILURE() << why;
      std::abort();
    }

    Trio* trio = nullptr;
    uint64_t id = 0;
    Down down = Down::kNot;
    bool cut_off = false;
    MemoryDiskContent content;
    std::unique_ptr<MemoryDisk> disk;
    std::unique_ptr<RaftNode> node;
  };

  Server& at(uint64_t id) { return servers_[id - 1]; }
  bool IsComplete() {
    size_t voters = 0;
    if (leader() == 0) return false;
    for (const RaftServer& server : node(leader()).engine().configuration()) {
      voters += server.role == RaftRole::kVoter ? 1 : 0;
    }
    return voters == kServers && node(follower()).engine().leader() == leader();
  }

  uint64_t now_ms_ = 1'000;
  std::deque<std::function<void()>> later_;
  std::array<Server, kServers> servers_;
};

RaftNode::Proposal Change(std::optional<absl::StatusOr<uint64_t>>& outcome) {
  RaftNode::Proposal proposal;
  proposal.command.mutable_register_()->mutable_node()->set_name("alpha");
  proposal.command.mutable_register_()->mutable_node()->set_address("10.0.0.9");
  proposal.done = [&outcome](absl::StatusOr<uint64_t> status) { outcome = std::move(status); };
  return proposal;
}

TEST(RaftNode, AChangeThatDoesNotReachTheDeadLeaderIsTheNextOnes) {
  Trio trio;
  const uint64_t asked = trio.follower(), dead = trio.leader();
  trio.TakeDown(dead, Trio::Down::kRefuses);
  trio.LoseConnectionsTo(dead);
  const uint64_t began = trio.now_ms();
  std::optional<absl::StatusOr<uint64_t>> outcome;
  trio.node(asked).Propose(Change(outcome));
  while (!outcome && trio.now_ms() < began + kHoldMs) trio.Beat();
  ASSERT_TRUE(outcome.has_value());
  EXPECT_TRUE(outcome->ok()) << outcome->status();
  EXPECT_NE(trio.leader(), dead);
}

TEST(RaftNode, AChangeThatNobodyCanBeHandedIsRefusedAfterTheHoldTimeAndNotDone) {
  Trio trio;
  const uint64_t asked = trio.follower(), dead = trio.leader();
  for (uint64_t id = 1; id <= 3; ++id) {
    if (id != asked) trio.TakeDown(id, Trio::Down::kRefuses);
  }
  trio.LoseConnectionsTo(dead);
  std::optional<absl::StatusOr<uint64_t>> outcome;
  trio.node(asked).Propose(Change(outcome));
  const uint64_t began = trio.now_ms();
  while (!outcome && trio.now_ms() < began + 2 * kHoldMs) trio.Beat();
  ASSERT_TRUE(outcome.has_value());
  EXPECT_EQ(outcome->status(), absl::UnavailableError("No cluster leader"));
}

TEST(RaftNode, WhatCannotBeSentForAMomentIsSentAfterIt) {
  Trio trio;
  const uint64_t asked = trio.follower(), leader = trio.leader();
  std::optional<absl::StatusOr<uint64_t>> outcome;
  std::optional<absl::Status> read;
  trio.CutOff(asked, true);
  trio.node(asked).Propose(Change(outcome));
  trio.node(asked).Read(ReadMode::kConsistent, [&read](const absl::Status& to) { read = to; });
  trio.Beat();
  EXPECT_FALSE(outcome.has_value());
  EXPECT_FALSE(read.has_value());
  trio.CutOff(asked, false);
  for (int i = 0; i < 3; ++i) trio.Beat();
  ASSERT_TRUE(outcome.has_value());
  EXPECT_TRUE(outcome->ok()) << outcome->status();
  ASSERT_TRUE(read.has_value());
  EXPECT_TRUE(read->ok()) << *read;
  EXPECT_EQ(trio.leader(), leader);
}

TEST(RaftNode, WhatWasForwardedToOneThatDoesNotLeadIsSentBackAndNotOn) {
  Trio trio;
  RaftNode& node = trio.node(trio.follower());
  std::optional<absl::StatusOr<uint64_t>> own, forwarded, last;
  node.Propose(Change(own));
  node.Propose(Change(forwarded), /*from_peer=*/true);
  node.Propose(Change(last));
  node.Settle();
  ASSERT_TRUE(forwarded.has_value());
  EXPECT_EQ(forwarded->status(), absl::UnavailableError("No cluster leader"));
  for (int i = 0; i < 3; ++i) trio.Beat();
  ASSERT_TRUE(own.has_value());
  EXPECT_TRUE(own->ok()) << own->status();
  ASSERT_TRUE(last.has_value());
  EXPECT_TRUE(last->ok()) << last->status();
}

// Such as a machine without power: nothing says that the connection is gone.
TEST(RaftNode, WhatASilentLeaderWasAskedIsKnownToBeUnknownSoonAfterTheNextOneLeads) {
  Trio trio;
  const uint64_t asked = trio.follower(), silent = trio.leader();
  trio.TakeDown(silent, Trio::Down::kSwallows);
  const uint64_t asked_ms = trio.now_ms();
  std::optional<absl::StatusOr<uint64_t>> outcome;
  std::optional<absl::Status> read;
  trio.node(asked).Propose(Change(outcome));
  trio.node(asked).Read(ReadMode::kConsistent, [&read](const absl::Status& to) { read = to; });
  trio.node(asked).Settle();
  while (trio.leader() == 0 && trio.now_ms() < asked_ms + kHoldMs) trio.Beat();
  const uint64_t led = trio.now_ms();
  while (!outcome && trio.now_ms() < led + kHoldMs) trio.Beat();
  ASSERT_TRUE(outcome.has_value());
  EXPECT_TRUE(absl::IsUnknown(outcome->status())) << outcome->status();
  EXPECT_LE(trio.now_ms() - led, 2 * kElectionMs);
  // The read was asked of the new leader.
  ASSERT_TRUE(read.has_value());
  EXPECT_TRUE(read->ok()) << *read;
}

TEST(RaftNode, AReadThatDoesNotReachTheDeadLeaderIsTheNextOnes) {
  Trio trio;
  const uint64_t asked = trio.follower(), dead = trio.leader();
  trio.TakeDown(dead, Trio::Down::kRefuses);
  const uint64_t began = trio.now_ms();
  std::optional<absl::Status> read;
  trio.node(asked).Read(ReadMode::kConsistent, [&read](const absl::Status& to) { read = to; });
  while (!read && trio.now_ms() < began + kHoldMs) trio.Beat();
  ASSERT_TRUE(read.has_value());
  EXPECT_TRUE(read->ok()) << *read;
}

}  // namespace
}  // namespace pharos::cluster
