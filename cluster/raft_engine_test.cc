// What keeps libraft's pitfalls away: each test fails without its guard.
#include "cluster/raft_engine.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "cluster/libraft.h"
#include "cluster/memory_disk.h"

namespace pharos::cluster {
namespace {

// An engine, and everything it asks for, done when the test says so.
class Server : public RaftEngineHost {
 public:
  // `content`, of an earlier life, outlives it.
  explicit Server(uint64_t id, MemoryDiskContent* content = nullptr)
      : content_(content == nullptr ? own_content_ : *content),
        disk_(
            &content_, [this] { return now_ms_; },
            [this](std::function<void()> work) { writes_.push_back(std::move(work)); }, id) {
    disk_set_term_ = disk_.io()->set_term;
    disk_.io()->set_term = [](raft_io* io, raft_term term) {
      ++terms_set;
      return fails ? int{RAFT_IOERR} : disk_set_term_(io, term);
    };
    disk_snapshot_get_ = disk_.io()->snapshot_get;
    disk_.io()->snapshot_get = [](raft_io* io, raft_io_snapshot_get* request,
                                  raft_io_snapshot_get_cb done) {
      if (!fails) return disk_snapshot_get_(io, request, done);
      unread = [request, done] { done(request, nullptr, RAFT_IOERR); };
      return 0;
    };
    disk_snapshot_put_ = disk_.io()->snapshot_put;
    disk_.io()->snapshot_put = [](raft_io* io, unsigned trailing, raft_io_snapshot_put* request,
                                  const raft_snapshot* snapshot, raft_io_snapshot_put_cb done) {
      return fails ? int{RAFT_IOERR} : disk_snapshot_put_(io, trailing, request, snapshot, done);
    };
    engine_ = std::make_unique<RaftEngine>(RaftEngineOptions{.id = id,
                                                             .address = std::to_string(id),
                                                             .election_timeout_ms = 500,
                                                             .heartbeat_ms = 100,
                                                             .snapshot_entries = 1'000'000,
                                                             .trailing_entries = 1},
                                           disk_, *this);
  }
  ~Server() override {
    bool closed = false;
    engine_->Close([&closed] { closed = true; });
    while (!elsewhere.empty()) RunElsewhereNow();
    CHECK(closed);
  }

  void Bootstrap(const std::vector<uint64_t>& ids) {
    std::vector<RaftServer> servers;
    servers.reserve(ids.size());
    for (const uint64_t id : ids) {
      servers.push_back({.id = id, .address = std::to_string(id), .role = RaftRole::kVoter});
    }
    CHECK(engine_->Bootstrap(servers).ok());
  }
  void WriteAll() {
    while (!writes_.empty()) {
      const auto write = std::move(writes_.front());
      writes_.pop_front();
      write();
    }
  }
  void Tick() {
    now_ms_ += 100;
    engine_->Tick();
  }
  void RunElsewhereNow() {
    auto [work, done] = std::move(elsewhere.front());
    elsewhere.pop_front();
    work();
    done();
  }
  absl::Status Propose(
      const std::string& text, RaftEngine::Done done = [](const absl::Status&) {}) {
    RaftBuffer entry((text.size() + 7) / 8 * 8);
    std::fill(entry.data(), entry.data() + entry.size(), uint8_t{0});
    std::copy(text.begin(), text.end(), entry.data());
    return engine_->Propose(std::move(entry), std::move(done));
  }
  void TakeSnapshot() {
    engine_->RequestSnapshot();
    Tick();
    WriteAll();
    CHECK(elsewhere.size() == 1);
    RunElsewhereNow();
    WriteAll();
  }
  MemoryDisk& disk() { return disk_; }
  RaftEngine& engine() { return *engine_; }
  const MemoryDiskContent& content() const { return content_; }

  void Send(uint64_t to, peer::v1::Raft message) override { sent.emplace_back(to, message); }
  void SendSnapshot(uint64_t to, peer::v1::InstallSnapshot info,
                    std::shared_ptr<const RaftBuffer> data) override {
    snapshots.push_back({to, info, data});
  }
  void Apply(uint64_t index, Octets entry) override {
    // Up to what libraft fills the last word with.
    const std::string_view text = AsText(entry);
    applied[index] = std::string(text.substr(0, text.find('\0')));
  }
  std::function<std::vector<std::string>()> TakeImage() override {
    return [] { return std::vector<std::string>{"an image of it all ....."}; };
  }
  absl::Status Restore(Octets image) override {
    restored = std::string(AsText(image));
    return absl::OkStatus();
  }
  void RunElsewhere(std::function<void()> work, std::function<void()> done) override {
    elsewhere.emplace_back(std::move(work), std::move(done));
  }

  [[noreturn]] void OnFatal(const std::string& why) override {
    std::fprintf(stderr, "fatal: %s\n", why.c_str());
    std::abort();
  }

  static inline bool fails = false;  // Disks cannot store a term or a snapshot, nor read one.
  static inline std::function<void()> unread;  // Tells of the snapshot that could not be read.
  static inline int terms_set = 0;             // How often a disk was told of a term.

  struct Snapshot {
    uint64_t to;
    peer::v1::InstallSnapshot info;
    std::shared_ptr<const RaftBuffer> data;
  };
  std::vector<std::pair<uint64_t, peer::v1::Raft>> sent;
  std::vector<Snapshot> snapshots;
  std::map<uint64_t, std::string> applied;
  std::string restored;
  std::deque<std::pair<std::function<void()>, std::function<void()>>> elsewhere;

 private:
  static inline decltype(raft_io::set_term) disk_set_term_ = nullptr;
  static inline decltype(raft_io::snapshot_get) disk_snapshot_get_ = nullptr;
  static inline decltype(raft_io::snapshot_put) disk_snapshot_put_ = nullptr;
  uint64_t now_ms_ = 1'000;
  MemoryDiskContent own_content_;
  MemoryDiskContent& content_;
  std::deque<std::function<void()>> writes_;
  MemoryDisk disk_;
  std::unique_ptr<RaftEngine> engine_;
};

// A message that brings entries of these terms behind entry `prev`.
peer::v1::Raft Append(uint64_t term, uint64_t prev, uint64_t prev_term,
                      const std::vector<uint64_t>& terms) {
  peer::v1::Raft message;
  message.set_term(term);
  auto& append = *message.mutable_append_entries();
  append.set_prev_log_index(prev);
  append.set_prev_log_term(prev_term);
  for (const uint64_t of_entry : terms) {
    append.add_terms(of_entry);
    append.add_types(1);
    append.add_octets(8);
    append.mutable_data()->append("an entry");
  }
  return message;
}

// A candidate's request, whose log ends at this entry.
peer::v1::Raft RequestVote(uint64_t term, uint64_t last_log_index, uint64_t last_log_term) {
  peer::v1::Raft message;
  message.set_term(term);
  message.mutable_request_vote()->set_last_log_index(last_log_index);
  message.mutable_request_vote()->set_last_log_term(last_log_term);
  return message;
}

// One that leads alone, with `count` entries in its log.
class Leader : public Server {
 public:
  explicit Leader(int count, MemoryDiskContent* content = nullptr) : Server(1, content) {
    Bootstrap({1});
    CHECK(engine().Start().ok());
    WriteAll();
    CHECK(engine().is_leader());
    for (int i = 0; i < count; ++i) {
      CHECK(Propose("entry " + std::to_string(i)).ok());
      WriteAll();
    }
  }

  // Tells it of a second server.
  void AddStandby() {
    CHECK(engine().Add(2, "2", [](const absl::Status&) {}).ok());
    WriteAll();
    CHECK(engine().Assign(2, RaftRole::kStandby, [](const absl::Status&) {}).ok());
    WriteAll();
  }

  // The second server says that it lacks what stands before the message it got.
  void Reject() {
    peer::v1::Raft answer;
    answer.set_term(engine().term());
    uint64_t prev = 0;
    for (const auto& [to, message] : sent) {
      if (message.has_append_entries()) prev = message.append_entries().prev_log_index();
    }
    answer.mutable_append_entries_result()->set_rejected(prev == 0 ? 1 : prev);
    answer.mutable_append_entries_result()->set_last_log_index(0);
    engine().Receive(2, answer);
    WriteAll();
  }
};

// One that has a snapshot of its entries, too, and has just been told of a second server.
class LeaderWithASnapshot : public Leader {
 public:
  explicit LeaderWithASnapshot(int count) : Leader(count) {
    TakeSnapshot();
    CHECK(engine().counters().snapshots_taken == 1);
    AddStandby();
  }

  // The second server lacks what the leader has only in its snapshot.
  void RejectUntilASnapshotIsDue() {
    Reject();
    Tick();
    Reject();
  }
};

TEST(RaftEngine, AloneItLeadsAndApplies) {
  Server server(1);
  server.Bootstrap({1});
  ASSERT_TRUE(server.engine().Start().ok());
  server.WriteAll();
  EXPECT_TRUE(server.engine().is_leader());
  EXPECT_TRUE(server.Propose("hello").ok());
  server.WriteAll();
  ASSERT_EQ(server.applied.size(), 1u);
  EXPECT_EQ(server.applied.begin()->second, "hello");
  EXPECT_EQ(server.applied.begin()->first, server.engine().last_applied());
}

TEST(RaftEngine, NobodyElseMayPropose) {
  Server server(1);
  server.Bootstrap({1, 2, 3});
  ASSERT_TRUE(server.engine().Start().ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(server.Propose("hello")));
  EXPECT_TRUE(absl::IsFailedPrecondition(server.engine().Bootstrap({})));
}

// libraft 0.22.1 crashes when a snapshot comes in while it takes one itself.
TEST(RaftEngine, NoSnapshotIsInstalledWhileOneIsTaken) {
  Server server(1);
  server.Bootstrap({1});
  ASSERT_TRUE(server.engine().Start().ok());
  server.WriteAll();
  ASSERT_TRUE(server.Propose("hello").ok());
  server.WriteAll();
  server.engine().RequestSnapshot();
  server.Tick();
  server.WriteAll();
  ASSERT_EQ(server.elsewhere.size(), 1u);
  peer::v1::InstallSnapshot info;
  info.set_term(server.engine().term() + 1);
  info.set_last_index(100);
  info.set_last_term(server.engine().term() + 1);
  EXPECT_FALSE(server.engine().ReceiveSnapshot(2, info, RaftBuffer(8)));
  EXPECT_EQ(server.engine().counters().snapshots_refused, 1u);
  EXPECT_TRUE(server.engine().is_leader());
  server.RunElsewhereNow();
  server.WriteAll();
  EXPECT_EQ(server.engine().counters().snapshots_taken, 1u);
}

// libraft 0.22.1 sends a snapshot once more for each rejected heartbeat.
TEST(RaftEngine, ASnapshotIsSentOnceHoweverManyHeartbeatsAreRejected) {
  LeaderWithASnapshot leader(50);
  for (int i = 0; i < 20; ++i) {
    leader.Reject();
    leader.Tick();
    leader.WriteAll();
  }
  ASSERT_EQ(leader.snapshots.size(), 1u);
  EXPECT_EQ(leader.snapshots[0].to, 2u);
  EXPECT_GT(leader.engine().counters().rejections_softened, 0u);
  // When it was lost, there is another.
  leader.engine().SnapshotSent(2);
  for (int i = 0; i < 3; ++i) {
    leader.Reject();
    leader.Tick();
    leader.WriteAll();
  }
  EXPECT_EQ(leader.engine().counters().snapshots_sent, leader.snapshots.size());
}

TEST(RaftEngine, ASnapshotBringsTheStateToAnother) {
  LeaderWithASnapshot leader(50);
  leader.Reject();
  leader.WriteAll();
  leader.Tick();
  leader.Reject();
  leader.WriteAll();
  ASSERT_EQ(leader.snapshots.size(), 1u);
  Server follower(2);
  ASSERT_TRUE(follower.engine().Start().ok());
  const auto& data = *leader.snapshots[0].data;
  RaftBuffer copy(data.size());
  std::copy(data.data(), data.data() + data.size(), copy.data());
  EXPECT_TRUE(follower.engine().ReceiveSnapshot(1, leader.snapshots[0].info, std::move(copy)));
  follower.WriteAll();
  EXPECT_EQ(follower.restored, "an image of it all .....");
  EXPECT_EQ(follower.engine().last_applied(), leader.snapshots[0].info.last_index());
  EXPECT_EQ(follower.engine().leader(), 1u);
}

// What does not fit together must not reach libraft, which trusts it.
TEST(RaftEngine, DropsMessagesThatCannotBe) {
  Server server(1);
  server.Bootstrap({1, 2, 3});
  ASSERT_TRUE(server.engine().Start().ok());
  peer::v1::Raft message;
  message.set_term(5);
  auto& entries = *message.mutable_append_entries();
  entries.set_prev_log_index(1);
  entries.set_prev_log_term(1);
  entries.add_terms(5);
  entries.add_types(1);
  entries.add_octets(16);
  entries.set_data("12345678");  // Half of it.
  server.engine().Receive(2, message);
  EXPECT_NE(server.engine().term(), 5u);
  entries.set_octets(0, 8);
  entries.set_types(0, 99);
  server.engine().Receive(2, message);
  EXPECT_NE(server.engine().term(), 5u);
  entries.set_types(0, 1);
  server.engine().Receive(2, message);
  EXPECT_EQ(server.engine().term(), 5u);
  server.WriteAll();
  peer::v1::InstallSnapshot snapshot;
  snapshot.set_term(6);
  snapshot.set_configuration("no configuration");
  EXPECT_FALSE(server.engine().ReceiveSnapshot(2, snapshot, RaftBuffer(8)));
}

// One that is overtaken by the answer to what was sent after it.
TEST(RaftEngine, ARejectionOfWhatTheServerHasSinceTakenChangesNothing) {
  Leader leader(3);
  leader.AddStandby();
  const uint64_t last = leader.engine().last_index();
  peer::v1::Raft answer;
  answer.set_term(leader.engine().term());
  answer.mutable_append_entries_result()->set_last_log_index(last);
  leader.engine().Receive(2, answer);
  ASSERT_EQ(leader.engine().match_index(2), last);
  // Silent for a while, it is asked again where it is.
  leader.Tick();
  leader.Tick();
  answer.mutable_append_entries_result()->set_rejected(last);
  answer.mutable_append_entries_result()->set_last_log_index(last - 1);
  leader.engine().Receive(2, answer);
  ASSERT_TRUE(leader.Propose("another").ok());
  leader.Tick();
  leader.WriteAll();
  const peer::v1::AppendEntries& sent = leader.sent.back().second.append_entries();
  EXPECT_EQ(sent.prev_log_index(), last);
  EXPECT_EQ(sent.terms_size(), 1);
  EXPECT_EQ(leader.engine().counters().rejections_softened, 1u);
}

// The entries of `all`, which begin with the first, from the one behind `prev` up to `last`.
peer::v1::Raft Entries(const peer::v1::Raft& all, uint64_t prev, uint64_t last, uint64_t commit) {
  const peer::v1::AppendEntries& from = all.append_entries();
  peer::v1::Raft part;
  part.set_term(all.term());
  peer::v1::AppendEntries& to = *part.mutable_append_entries();
  to.set_prev_log_index(prev);
  to.set_prev_log_term(prev == 0 ? 0 : from.terms(static_cast<int>(prev) - 1));
  to.set_leader_commit(commit);
  size_t offset = 0;
  for (uint64_t i = 0; i < last; ++i) {
    const int at = static_cast<int>(i);
    if (i >= prev) {
      to.add_terms(from.terms(at));
      to.add_types(from.types(at));
      to.add_octets(from.octets(at));
      to.mutable_data()->append(from.data(), offset, from.octets(at));
    }
    offset += from.octets(at);
  }
  return part;
}

// The whole log of a leader that has told a second server of itself, as a message to that.
peer::v1::Raft AllEntries(Leader& leader) {
  leader.AddStandby();
  leader.Tick();
  leader.Reject();
  CHECK(leader.sent.back().second.append_entries().prev_log_index() == 0);
  return leader.sent.back().second;
}

TEST(RaftEngine, AConfigurationIsKeptWhereItStandsInTheLog) {
  Leader leader(2);
  const peer::v1::Raft all = AllEntries(leader);
  const int count = all.append_entries().terms_size();
  ASSERT_EQ(static_cast<uint64_t>(count), leader.engine().last_index());

  Server follower(2);
  ASSERT_TRUE(follower.engine().Start().ok());
  // The first three of them alone, and then all.
  for (const peer::v1::Raft& message : {Entries(all, 0, 3, 3), all}) {
    follower.engine().Receive(1, message);
    follower.WriteAll();
  }
  ASSERT_EQ(follower.engine().last_applied(), static_cast<uint64_t>(count));
  follower.TakeSnapshot();
  ASSERT_NE(follower.content().snapshot, nullptr);
  // The last entry made it a standby.
  EXPECT_EQ(follower.content().snapshot->configuration_index, static_cast<uint64_t>(count));
}

// Its promotion may stand in the log of one who can be elected with its vote alone.
TEST(RaftEngine, AStandbyVotesOnceItsLeaderIsSilent) {
  Leader leader(2);
  const peer::v1::Raft all = AllEntries(leader);
  Server standby(2);
  ASSERT_TRUE(standby.engine().Start().ok());
  standby.engine().Receive(1, all);
  standby.WriteAll();
  ASSERT_EQ(standby.engine().configuration().back().role, RaftRole::kStandby);
  peer::v1::Raft vote = RequestVote(leader.engine().term() + 1, leader.engine().last_index() + 1,
                                    leader.engine().term());
  standby.engine().Receive(1, vote);
  ASSERT_TRUE(standby.sent.back().second.has_request_vote_result());
  EXPECT_FALSE(standby.sent.back().second.request_vote_result().vote_granted());
  for (int i = 0; i < 6; ++i) standby.Tick();
  standby.engine().Receive(1, vote);
  EXPECT_TRUE(standby.sent.back().second.request_vote_result().vote_granted());
  EXPECT_EQ(standby.engine().configuration().back().role, RaftRole::kStandby);
  // And for nobody else in that term.
  standby.engine().Receive(3, vote);
  EXPECT_FALSE(standby.sent.back().second.request_vote_result().vote_granted());
}

// A leader that has lost the answers of a server begins from before that server's snapshot.
TEST(RaftEngine, EntriesFromBeforeTheSnapshotAreTaken) {
  Leader leader(20);
  const peer::v1::Raft all = AllEntries(leader);
  Server follower(2);
  ASSERT_TRUE(follower.engine().Start().ok());
  follower.engine().Receive(1, Entries(all, 0, 15, 15));
  follower.WriteAll();
  follower.TakeSnapshot();
  ASSERT_EQ(follower.engine().snapshot_index(), 15u);
  for (const uint64_t last : {5u, 10u}) {  // A heartbeat, and entries.
    follower.engine().Receive(1, Entries(all, 5, last, 15));
    const auto& result = follower.sent.back().second.append_entries_result();
    EXPECT_EQ(result.rejected(), 0u);
    EXPECT_EQ(result.last_log_index(), 15u);
  }
  follower.engine().Receive(1, Entries(all, 5, 20, 20));
  follower.WriteAll();
  EXPECT_EQ(follower.engine().last_applied(), 20u);
  leader.applied.erase(leader.applied.upper_bound(20), leader.applied.end());
  EXPECT_EQ(follower.applied, leader.applied);
}

TEST(RaftEngine, WhatIsCommittedStaysSo) {
  Leader leader(20);
  const peer::v1::Raft all = AllEntries(leader);
  Server follower(2);
  ASSERT_TRUE(follower.engine().Start().ok());
  follower.engine().Receive(1, Entries(all, 0, 15, 15));
  follower.WriteAll();
  follower.engine().Receive(1, Entries(all, 3, 6, 20));
  EXPECT_EQ(follower.engine().commit_index(), 15u);
}

// One of three that has entries nobody else has, and a disk that is full.
class FullCandidate : public Server {
 public:
  FullCandidate() : Server(1) {
    Bootstrap({1, 2, 3});
    CHECK(engine().Start().ok());
    engine().Receive(2, Append(2, 1, 1, {2}));
    WriteAll();
    disk().SetCapacity(0);
    while (engine().state() != RaftState::kCandidate) Tick();
  }
  // Another votes, and says how much room it has.
  void Vote(bool pre_vote, uint32_t kilobytes) {
    peer::v1::Raft vote;
    vote.set_term(engine().term() + (pre_vote ? 1 : 0));
    auto& result = *vote.mutable_request_vote_result();
    result.set_vote_granted(true);
    result.set_pre_vote(pre_vote);
    result.set_features(1);
    result.set_capacity(kilobytes);
    engine().Receive(2, vote);
    WriteAll();
  }
  void Answer(uint64_t from, uint64_t last, uint32_t kilobytes) {
    peer::v1::Raft answer;
    answer.set_term(engine().term());
    auto& result = *answer.mutable_append_entries_result();
    result.set_last_log_index(last);
    result.set_features(1);
    result.set_capacity(kilobytes);
    engine().Receive(from, answer);
    WriteAll();
  }
};

TEST(RaftEngine, ALeaderElectedWithFullDisksTellsWhenItLeadsNoMore) {
  FullCandidate server;
  server.Vote(true, 0);
  server.Vote(false, 0);
  ASSERT_TRUE(server.engine().is_leader());
  EXPECT_TRUE(absl::IsResourceExhausted(server.Propose("hello")));
  server.Answer(2, 2, 32'768);
  server.Answer(3, 2, 32'768);
  absl::Status outcome;
  ASSERT_TRUE(server.Propose("hello", [&](const absl::Status& status) { outcome = status; }).ok());
  server.engine().Receive(2, Append(server.engine().term() + 1, 1, 1, {}));
  server.Tick();
  ASSERT_FALSE(server.engine().is_leader());
  EXPECT_TRUE(absl::IsAborted(outcome)) << outcome;
}

TEST(RaftEngine, APromotionThatFindsDisksFullIsGivenUp) {
  FullCandidate server;
  server.disk().SetCapacity(32'768);
  server.Vote(true, 32'768);
  server.Vote(false, 32'768);
  ASSERT_TRUE(server.engine().is_leader());
  server.WriteAll();
  server.Answer(2, server.engine().last_index(), 32'768);
  ASSERT_TRUE(server.engine().Add(4, "4", [](const absl::Status&) {}).ok());
  server.WriteAll();
  server.Answer(2, server.engine().last_index(), 32'768);
  server.Tick();
  server.engine().Settle();
  absl::Status outcome;
  ASSERT_TRUE(
      server.engine()
          .Assign(4, RaftRole::kVoter, [&](const absl::Status& status) { outcome = status; })
          .ok());
  server.engine().Settle();
  EXPECT_TRUE(server.engine().change_pending());
  // It has caught up, but meanwhile there is no room on two of three disks.
  for (const uint64_t voter : {2u, 3u}) server.Answer(voter, server.engine().last_index(), 0);
  server.Answer(4, server.engine().last_index(), 32'768);
  server.engine().Settle();
  EXPECT_FALSE(server.engine().change_pending());
  EXPECT_TRUE(absl::IsResourceExhausted(outcome)) << outcome;
  // And it can be had later.
  for (const uint64_t voter : {2u, 3u}) server.Answer(voter, server.engine().last_index(), 32'768);
  EXPECT_TRUE(server.engine().Assign(4, RaftRole::kVoter, [](const absl::Status&) {}).ok());
}

// It may have sent something in the earlier term that it does not have any more.
TEST(RaftEngine, TheOnlyVoterLeadsInANewTermEachTime) {
  MemoryDiskContent content;
  uint64_t term = 0;
  {
    Leader leader(2, &content);
    term = leader.engine().term();
    ASSERT_TRUE(leader.Propose("never written").ok());
    leader.disk().Crash(0);
  }
  Server again(1, &content);
  ASSERT_TRUE(again.engine().Start().ok());
  ASSERT_TRUE(again.engine().is_leader());
  EXPECT_GT(again.engine().term(), term);
  EXPECT_EQ(content.term, again.engine().term());
}

// Of one entry, which says who the servers are.
std::string EncodedConfiguration(const std::vector<uint64_t>& ids) {
  Server server(1);
  server.Bootstrap(ids);
  return server.content().entries.front().data;
}

TEST(RaftEngine, TheOnlyVoterThatIsLeftLeadsInANewTerm) {
  Server server(1);
  server.Bootstrap({1, 2});
  ASSERT_TRUE(server.engine().Start().ok());
  const std::string alone = EncodedConfiguration({1});
  peer::v1::Raft leaves = Append(5, 1, 1, {5});
  auto& append = *leaves.mutable_append_entries();
  append.set_types(0, RAFT_CHANGE);
  append.set_octets(0, static_cast<uint32_t>(alone.size()));
  append.set_data(alone);
  append.set_leader_commit(2);
  server.engine().Receive(2, leaves);
  server.WriteAll();
  for (int i = 0; i < 20 && !server.engine().is_leader(); ++i) server.Tick();
  ASSERT_TRUE(server.engine().is_leader());
  EXPECT_GT(server.engine().term(), 5u);
}

TEST(RaftEngine, ATermIsStoredOnceSoThatNoVoteIsForgotten) {
  Server server(1);
  server.Bootstrap({1, 2, 3});
  ASSERT_TRUE(server.engine().Start().ok());
  peer::v1::Raft vote = RequestVote(7, 1, 1);
  server.engine().Receive(3, vote);
  ASSERT_TRUE(server.sent.back().second.request_vote_result().vote_granted());
  ASSERT_EQ(server.content().voted_for, 3u);
  const int before = Server::terms_set;
  server.engine().Receive(3, vote);
  EXPECT_TRUE(server.sent.back().second.request_vote_result().vote_granted());
  EXPECT_EQ(Server::terms_set, before);
}

TEST(RaftEngine, OneWithAStalledDiskVotesOnceItsLeaderIsSilent) {
  Server server(1);
  server.Bootstrap({1, 2, 3});
  ASSERT_TRUE(server.engine().Start().ok());
  server.engine().Receive(2, Append(2, 1, 1, {2}));  // Not written.
  for (int i = 0; i < 20; ++i) server.Tick();
  peer::v1::Raft vote = RequestVote(3, 2, 2);
  server.engine().Receive(3, vote);
  EXPECT_TRUE(server.sent.back().second.request_vote_result().vote_granted());
}

TEST(RaftEngine, ARefusalToVoteTellsTheTerm) {
  Server server(2);
  server.Bootstrap({1, 2, 3});
  ASSERT_TRUE(server.engine().Start().ok());
  peer::v1::Raft vote = RequestVote(7, 1, 1);
  server.engine().Receive(3, vote);
  ASSERT_EQ(server.engine().term(), 7u);
  vote.set_term(3);
  vote.mutable_request_vote()->set_pre_vote(true);
  server.engine().Receive(1, vote);
  EXPECT_FALSE(server.sent.back().second.request_vote_result().vote_granted());
  EXPECT_EQ(server.sent.back().second.term(), 7u);
}

// Else it would be taken for one that may still be undone, by snapshots, too.
TEST(RaftEngine, AConfigurationThatIsCommittedIsNotUndoneWithTheNext) {
  Leader leader(2);
  leader.AddStandby();
  ASSERT_TRUE(leader.engine().Add(3, "3", [](const absl::Status&) {}).ok());
  leader.WriteAll();
  leader.Tick();
  leader.Reject();
  const peer::v1::Raft all = leader.sent.back().second;
  const uint64_t last = leader.engine().last_index();
  Server follower(2);
  ASSERT_TRUE(follower.engine().Start().ok());
  follower.engine().Receive(1, Entries(all, 0, last - 1, last - 2));
  follower.WriteAll();
  follower.engine().Receive(1, Entries(all, last - 1, last, last - 1));
  follower.WriteAll();
  ASSERT_EQ(follower.engine().configuration().size(), 3u);
  follower.TakeSnapshot();
  EXPECT_EQ(follower.content().snapshot->configuration_index, last - 1);
  follower.engine().Receive(3, Append(9, last - 1, leader.engine().term(), {9}));
  follower.WriteAll();
  ASSERT_EQ(follower.engine().configuration().size(), 2u);
  EXPECT_EQ(follower.engine().configuration().back().role, RaftRole::kStandby);
}

TEST(RaftEngine, ASnapshotIsSentWithItsOwnTerm) {
  FullCandidate server;
  server.disk().SetCapacity(32'768);
  const auto lead = [&] {
    while (server.engine().state() != RaftState::kCandidate) server.Tick();
    server.Vote(true, 32'768);
    server.Vote(false, 32'768);
    CHECK(server.engine().is_leader());
    server.Answer(2, server.engine().last_index(), 32'768);
    for (int i = 0; i < 5; ++i) {
      CHECK(server.Propose("e").ok());
      server.WriteAll();
      server.Answer(2, server.engine().last_index(), 32'768);
    }
  };
  lead();
  server.TakeSnapshot();
  const uint64_t first_term = server.content().snapshot->term;
  lead();
  // While the next one is on its way to the disk, the third server turns out to need one.
  server.engine().RequestSnapshot();
  server.Tick();
  server.WriteAll();
  ASSERT_EQ(server.elsewhere.size(), 1u);
  server.RunElsewhereNow();
  for (int i = 0; i < 3; ++i) {
    peer::v1::Raft rejection;
    rejection.set_term(server.engine().term());
    for (const auto& [to, message] : server.sent) {
      if (to != 3 || !message.has_append_entries()) continue;
      rejection.mutable_append_entries_result()->set_rejected(
          message.append_entries().prev_log_index());
    }
    server.engine().Receive(3, rejection);
  }
  server.WriteAll();
  ASSERT_EQ(server.snapshots.size(), 1u);
  EXPECT_EQ(server.snapshots[0].info.last_index(), server.content().snapshot->index);
  EXPECT_EQ(server.snapshots[0].info.last_term(), server.content().snapshot->term);
  EXPECT_NE(server.content().snapshot->term, first_term);
}

TEST(RaftEngine, ASnapshotThatWasLostIsSentAgainSoon) {
  LeaderWithASnapshot leader(50);
  leader.RejectUntilASnapshotIsDue();
  ASSERT_EQ(leader.snapshots.size(), 1u);
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(leader.Propose("another").ok());
    leader.WriteAll();
  }
  leader.TakeSnapshot();
  // From now on it says in heartbeats what the newer one has, and hears that this is missing.
  leader.Reject();
  leader.Tick();
  leader.engine().SnapshotSent(2);
  for (int i = 0; i < 400 && leader.snapshots.size() == 1; ++i) {
    leader.Reject();
    leader.Tick();
    leader.WriteAll();
  }
  EXPECT_EQ(leader.snapshots.size(), 2u);
}

TEST(RaftEngine, NoSnapshotIsTakenWhileOneIsInstalled) {
  LeaderWithASnapshot leader(50);
  leader.RejectUntilASnapshotIsDue();
  ASSERT_EQ(leader.snapshots.size(), 1u);
  Server follower(2);
  ASSERT_TRUE(follower.engine().Start().ok());
  const auto& info = leader.snapshots[0].info;
  EXPECT_TRUE(follower.engine().ReceiveSnapshot(1, info, RaftBuffer(64)));
  EXPECT_FALSE(follower.engine().ReceiveSnapshot(1, info, RaftBuffer(64)));
  follower.WriteAll();
  EXPECT_EQ(follower.engine().last_applied(), info.last_index());
}

// libraft would free what it had not set yet.
TEST(RaftEngine, ASnapshotThatCannotBeReadIsTriedAgain) {
  LeaderWithASnapshot leader(50);
  Server::fails = true;
  leader.RejectUntilASnapshotIsDue();
  ASSERT_NE(Server::unread, nullptr);
  Server::unread();
  Server::fails = false;
  for (int i = 0; i < 3; ++i) {
    leader.Reject();
    leader.Tick();
    leader.WriteAll();
  }
  EXPECT_EQ(leader.snapshots.size(), 1u);
}

TEST(RaftEngineDeathTest, StopsWhenASnapshotOfTheLeaderCannotBeStored) {
  LeaderWithASnapshot leader(50);
  leader.RejectUntilASnapshotIsDue();
  ASSERT_EQ(leader.snapshots.size(), 1u);
  Server follower(2);
  ASSERT_TRUE(follower.engine().Start().ok());
  follower.engine().Receive(1, Append(leader.engine().term(), 0, 0, {}));
  Server::fails = true;
  EXPECT_DEATH(follower.engine().ReceiveSnapshot(1, leader.snapshots[0].info, RaftBuffer(64)),
               "fatal: the disk of the Raft log failed");
  Server::fails = false;
}

// libraft loses one that comes back before the first of it is written.
TEST(RaftEngineDeathTest, StopsWhenTheLogIsNotTheOneOnTheDisk) {
  Server server(1);
  server.Bootstrap({1, 2, 3, 4, 5});
  ASSERT_TRUE(server.engine().Start().ok());
  server.engine().Receive(2, Append(2, 1, 1, {2}));
  server.engine().Receive(3, Append(3, 1, 1, {3}));
  EXPECT_DEATH(server.engine().Receive(2, Append(4, 1, 1, {2, 4})),
               "fatal: (the disk of the Raft log failed|the Raft log should end at entry 3)");
  server.WriteAll();
}

TEST(RaftEngineDeathTest, StopsWhenTheDiskRefuses) {
  Server server(1);
  server.Bootstrap({1, 2, 3});
  ASSERT_TRUE(server.engine().Start().ok());
  peer::v1::Raft vote = RequestVote(7, 1, 1);
  Server::fails = true;
  EXPECT_DEATH(server.engine().Receive(3, vote), "fatal: the disk of the Raft log failed");
  Server::fails = false;
}

TEST(RaftEngine, ClosesWithASnapshotUnderWay) {
  Server server(1);
  server.Bootstrap({1});
  ASSERT_TRUE(server.engine().Start().ok());
  server.WriteAll();
  ASSERT_TRUE(server.Propose("hello").ok());
  server.WriteAll();
  server.engine().RequestSnapshot();
  server.Tick();
  server.WriteAll();
  EXPECT_EQ(server.elsewhere.size(), 1u);
}

}  // namespace
}  // namespace pharos::cluster
