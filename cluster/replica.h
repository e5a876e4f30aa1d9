// The catalog as an agent has it that is no server: a copy that follows a server's, from which
// everything is read, and changes that go to a server. While no server answers it stays as it is.
// Runs CatalogFollower and ServerChoice on a thread of its own. Start reading at Settle.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/loop.h"
#include "cluster/catalog_access.h"
#include "cluster/catalog_follower.h"
#include "cluster/path_finder.h"
#include "cluster/peer_channel.h"
#include "cluster/peer_tls.h"
#include "cluster/server_choice.h"
#include "proto/peer.pb.h"
#include "registry/freshness.h"

namespace pharos::cluster {

struct ReplicaOptions {
  std::string datacenter;
  std::string node_name;
  std::string data_dir;           // Where the copy is kept; empty: nowhere.
  std::vector<std::string> join;  // Servers, HOST:PORT, for while none is known otherwise.
  // So long after the start, who tells of servers (gossip) has had the time to.
  absl::Duration join_after;
  PeerTls tls;
  absl::Duration hold =
      absl::Seconds(7);  // That changes and reads wait for a server with a leader.
  absl::Duration max_stale =
      absl::InfiniteDuration();  // Beyond, nothing is answered from the copy.
  // There is no copy: a server is followed for what it says of itself, and takes changes.
  bool pulses_only = false;
};

class Replica : public CatalogAccess, public PathFinder {
 public:
  // Changes, and reads, that wait at one time; one more is refused with ResourceExhausted.
  static constexpr size_t kProposalsMax = 16384;
  static constexpr size_t kReadsMax = 16384;
  // Requests with changes that are on their way to a server, commands in one, and octets of them.
  static constexpr size_t kWritesMax = 8;
  static constexpr size_t kWriteCommandsMax = 512;
  static constexpr size_t kWriteOctetsMax = size_t{1} << 20;
  // A server that is silent for longer is left for another.
  static constexpr uint64_t kSilentMs = 4'000;
  // For so long without a server, nothing is called stale: a move takes less.
  static constexpr uint64_t kMoveMs = 3'000;
  // After so long without one, changes of this agent's own node are seen here though no server has
  // made them. Not before, as a server's whole catalog is then needed again.
  static constexpr uint64_t kCutOffMs = 1'000;
  // A server that has not heard of a leader for so long is one that others may have left behind;
  // and for so long, it is left for another.
  static constexpr uint64_t kLeaderlessMs = 5'000;
  static constexpr uint64_t kLeaderlessMaxMs = 15'000;
  // How often the copy is written at most, if it has changed.
  static constexpr uint64_t kKeepMs = 10'000;

  // With a copy on disk it has that from the beginning. `clock` is borrowed. InvalidArgument for
  // TLS files that cannot be used; a copy that cannot be read is said in the log, and is none.
  static absl::StatusOr<std::unique_ptr<Replica>> Start(ReplicaOptions options, const Clock& clock);
  // Writes the copy, and answers all that waits with Unavailable or Unknown.
  ~Replica() override;

  // What gossip says of the server at the address (IP:PORT): how it is, or that it has left for
  // good. From any thread.
  void OnServer(const std::string& address, bool alive);
  void OnServerGone(const std::string& address);
  // Called on the replica's thread whenever the catalog is a server's again after it was not; at
  // once where it is. To be set to nothing before what it uses ends.
  void SetOnFollowing(std::function<void()> on_following);
  // Where, without a copy, changes of this agent's own node are seen that no server takes. As
  // above.
  void SetApplyHere(std::function<void(const catalog::v1::Command&)> apply_here);
  const registry::SharedFreshness& freshness() const { return freshness_; }

  // PathFinder: whatever the datacenter, the server that is followed asks on.
  std::vector<std::string> Datacenters() const override;
  bool IsComplete() const override;
  std::optional<std::string> PathTo(const std::string& datacenter) override;
  void OnFailed(const std::string&, const std::string&) override {}
  void OnGood(const std::string&, const std::string&) override {}

  // CatalogAccess. Changes of this agent's own node are seen here also while no server takes them.
  void Propose(catalog::v1::Command command, Done done) override;
  bool IsReadable(ReadMode mode) const override { return mode == ReadMode::kStale; }
  void WhenReadable(ReadMode mode, StatusDone done) override;
  void TakeBackup(std::function<void(absl::StatusOr<Backup>)> done) override;
  void RestoreBackup(std::string image, StatusDone done) override;
  void SetAutopilot(const AutopilotOptions& options, std::optional<uint64_t> check_index,
                    StatusDone done) override;
  int Subscribe(Observer observer) override;
  void Unsubscribe(int subscription) override;
  const Published<registry::Snapshot>& published() const override { return follower_->published(); }
  bool has_leader() const override { return has_leader_.load(std::memory_order_relaxed); }
  bool is_leader() const override { return false; }
  absl::Duration last_contact() const override;
  void WithStatus(View view, std::function<void(ConsensusStatus)> done) override;
  ConsensusStatus status() override;
  void ChangeMembership(peer::v1::MembershipRequest request, StatusDone done) override;
  const ReplicaCounters* replica_counters() const override { return &replica_counters_; }

 private:
  struct Stream;
  struct Remote;
  struct Queued {
    catalog::v1::Command command;
    Done done;
    uint64_t proposed_ns;
    uint64_t deadline_ms;
    bool applied_here = false;
  };
  struct WaitingRead {
    ReadMode mode;
    uint64_t deadline_ms;
    std::optional<uint64_t> index;  // From which on it sees enough; unset until a server says so.
    StatusDone done;
  };
  // A change that was made, and is answered once it is seen here.
  struct Outcome {
    uint64_t index;
    uint64_t deadline_ms;
    uint64_t proposed_ns;
    Done done;
  };

  Replica(ReplicaOptions options, const Clock& clock);
  absl::Status Open();
  void LoadKept();

  // All below on the replica's thread.
  // After each event, once: publishes, answers who waits for that, and sends on what waits.
  void Settle();
  void Tick();
  void Follow(const std::string& address);
  void LeaveServer();
  void OnNoServer();
  void OnResponse(uint64_t number, const peer::v1::FollowResponse& response);
  void OnStreamEnded(uint64_t number, const absl::Status& why);
  void Publish();
  void AnswerVisible();
  void Drain();
  void PumpWrites();
  void OnWritten(std::vector<Queued> batch, const absl::StatusOr<peer::v1::WriteResult>& result);
  void PumpReads();
  void OnReadIndex(std::vector<WaitingRead> reads,
                   const absl::StatusOr<peer::v1::ReadIndexResult>& result);
  void Expire();
  void ApplyHere(Queued& queued);
  bool IsOwn(const catalog::v1::Command& command) const;
  void SetFreshness();
  void Keep(bool last);
  ConsensusStatus MakeStatus() const;
  bool HasSeen(uint64_t index) const { return options_.pulses_only || index <= follower_->index(); }
  bool is_following() const { return stream_ != nullptr && heard_from_stream_; }

  const ReplicaOptions options_;
  const Clock& clock_;
  const uint64_t started_ms_;
  ReplicaCounters replica_counters_;
  registry::SharedFreshness freshness_{registry::Freshness::kFresh};
  std::atomic<bool> has_leader_{false};
  std::atomic<uint64_t> contact_ms_{0};  // When the leader was last heard of, by way of a server.
  mutable std::mutex mutex_;
  std::vector<std::string> datacenters_ ABSL_GUARDED_BY(mutex_);
  bool complete_ ABSL_GUARDED_BY(mutex_) = false;  // There are no others.
  std::string followed_ ABSL_GUARDED_BY(mutex_);   // The address; empty: nobody.
  std::vector<Queued> queue_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::atomic<size_t> outstanding_{0};
  PeerCalls calls_;

  // Of the replica's thread.
  std::unique_ptr<CatalogFollower> follower_;
  ServerChoice choice_;
  std::shared_ptr<Remote> remote_;  // The server that is followed, or was last.
  Stream* stream_ = nullptr;        // Deletes itself when it is done, maybe before that is known.
  std::shared_ptr<grpc::ClientContext> stream_context_;  // Its own, to cancel it by.
  uint64_t streams_ = 0;                                 // The number of the present one.
  bool heard_from_stream_ = false;
  bool following_ = false;   // The catalog is a server's.
  uint64_t cut_off_ms_ = 0;  // Since when it is not.
  uint64_t heard_ms_ = 0;
  uint64_t leader_heard_ms_ = 0;  // By the server that is followed; or when that began.
  uint64_t better_asked_ms_ = 0;
  bool closing_ = false;
  std::deque<Queued> waiting_;
  size_t writes_ = 0;
  std::deque<Outcome> outcomes_;
  std::vector<WaitingRead> reads_;           // For which no server was asked yet.
  std::vector<WaitingRead> applying_reads_;  // Which wait for the index.
  bool asking_[2] = {false, false};          // By whether it is a consistent read.
  std::map<int, Observer> observers_;
  int next_subscription_ = 0;
  std::function<void()> on_following_;
  std::function<void(const catalog::v1::Command&)> apply_here_;
  std::unique_ptr<LoopTimer> ticker_;
  // When the catalog was last known to be as new as it gets: on the wall clock, to outlast a
  // restart.
  absl::Time fresh_at_ = absl::InfinitePast();
  uint64_t kept_index_ = 0, kept_ms_ = 0, stamped_ms_ = 0;
  bool keeping_ = false;
  std::string kept_path_;
  std::unique_ptr<Loop> keep_loop_;  // Writes the copy, which takes a while.
  std::unique_ptr<Loop> loop_;
};

}  // namespace pharos::cluster
