// The one way to change the catalog: propose a command, and hear when it is committed and visible.
// Runs this server's RaftNode on a thread of its own, with its disk and its messages. Of an agent
// that keeps nothing, and in tests, it is a cluster of one server in memory by the same code.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/loop.h"
#include "cluster/data_directory.h"
#include "cluster/joining.h"
#include "cluster/peer_client.h"
#include "cluster/peer_service.h"
#include "cluster/raft_node.h"
#include "cluster/state_machine.h"
#include "proto/catalog.pb.h"

namespace pharos::cluster {

// Counted since the start; any thread may read them.
struct ConsensusCounters {
  std::atomic<uint64_t> proposals{0}, refused{0}, publications{0}, inbox_dropped{0};
  // As they were after the last event of the raft thread.
  std::atomic<uint64_t> term{0}, commit_index{0}, applied_index{0}, last_index{0};
  std::atomic<uint64_t> snapshot_index{0}, voters{0}, failure_tolerance{0};
  std::atomic<bool> healthy{true};
  std::atomic<uint64_t> leader_changes{0}, forwarded{0}, unknown_outcomes{0}, confirm_rounds{0};
  std::atomic<uint64_t> snapshots_taken{0}, snapshots_installed{0}, snapshots_sent{0};
  std::atomic<uint64_t> messages_dropped{0}, disk_full{0};
  // From a proposal until it is visible: of all, and of those that register or deregister.
  DurationHistogram commit, registration, deregistration;
};

struct ConsensusOptions {
  std::string datacenter;
  std::string data_dir;  // Empty: everything is in memory.
  std::string node_name;
  std::string node_id;
  std::string address;            // Where other servers find this one: IP:PORT.
  std::string listen;             // Where it listens for them, IP:PORT; empty: nowhere.
  std::vector<std::string> join;  // Where it looks for them, HOST:PORT.
  PeerTls tls;
  std::string version;
  bool bootstrap = true;                   // A server without state begins a cluster of its own.
  int bootstrap_expect = 0;                // So many servers begin one together.
  absl::Duration hold = absl::Seconds(7);  // That proposals and reads wait for a leader.
  uint32_t election_timeout_ms = 500;
  uint32_t heartbeat_ms = 100;
  uint32_t snapshot_entries = 16384;
  uint32_t trailing_entries = 8192;
  AutopilotOptions autopilot;
};

// What others may know of this server's part in the cluster.
struct ConsensusStatus {
  bool is_leader = false;
  peer::v1::Server leader;  // Its raft_id is 0 while there is none.
  uint64_t term = 0, commit_index = 0, applied_index = 0, last_index = 0, snapshot_index = 0;
  RaftState state = RaftState::kFollower;
  absl::Duration last_contact;
  AutopilotState autopilot;
  std::string cluster_id;
  AutopilotOptions autopilot_options;
  uint64_t autopilot_create_index = 0, autopilot_modify_index = 0;
};

class Consensus : private RaftNodeHost, private PeerEvents {
 public:
  // Proposals that wait at one time; one more is refused with ResourceExhausted.
  static constexpr size_t kProposalsMax = 16384;

  // Called once, on the raft thread: the index at which the command is visible to every reader of
  // this server, or why not: InvalidArgument, NotFound and Aborted in words for the author of the
  // command; Unavailable and ResourceExhausted when nothing was changed; Unknown when nobody can
  // say whether it was or will be.
  using Done = std::function<void(absl::StatusOr<uint64_t>)>;
  using StatusDone = std::function<void(absl::Status)>;

  // A cluster of one in memory. Starts the thread `raft`. `clock` is borrowed.
  Consensus(std::string datacenter, const Clock& clock);
  // What `options` say. An error leaves nothing running.
  static absl::StatusOr<std::unique_ptr<Consensus>> Start(ConsensusOptions options,
                                                          const Clock& clock);
  // Proposals that have no outcome yet are answered with Unavailable or Unknown. With a disk, a
  // snapshot is written first (for at most 10 s), so that the next start has the whole catalog even
  // before there is a leader.
  ~Consensus() override;

  // From any thread. The command's time is set here. Validated before it is queued: InvalidArgument
  // in words for the author of the command.
  void Propose(catalog::v1::Command command, Done done);
  // Waits for the outcome; not from the raft thread.
  absl::StatusOr<uint64_t> ProposeAndWait(catalog::v1::Command command);

  // Whether what is published is as new as `mode` wants, by the leader's lease; false is no answer.
  // From any thread, without waiting.
  bool IsReadable(ReadMode mode) const;
  // From any thread: calls `done` once what is published is as new as `mode` wants, at once (and on
  // this thread) where that is so already, else on the raft thread. Unavailable ("No cluster
  // leader") when nobody could say for `hold` (7 s).
  void WhenReadable(ReadMode mode, StatusDone done);

  // The whole catalog as it is now, as parts of an image (cluster/image_file.h). `done` is called
  // on a thread of its own.
  struct Backup {
    uint64_t index = 0;
    std::vector<std::string> parts;
  };
  void TakeBackup(std::function<void(absl::StatusOr<Backup>)> done);
  // Puts the catalog of an image in the place of the present one, on all servers.
  // FailedPrecondition or DataLoss, and nothing is changed, for what is no image or a damaged one.
  void RestoreBackup(std::string image, StatusDone done);
  // How the leader looks after the servers; Aborted when it was changed at another index than
  // `check_index`, where that is given.
  void SetAutopilot(const AutopilotOptions& options, std::optional<uint64_t> check_index,
                    StatusDone done);

  // Calls `observer` on the raft thread after each publication that changed something, before those
  // who proposed the changes are answered. From any thread; ends with Unsubscribe, after which no
  // call runs or will.
  using Observer = std::function<void(const registry::Changes&)>;
  int Subscribe(Observer observer);
  void Unsubscribe(int subscription);

  const ConsensusCounters& counters() const { return counters_; }
  const Published<registry::Snapshot>& published() const { return *published_; }

  // From any thread, without waiting.
  bool has_leader() const { return has_leader_.load(std::memory_order_relaxed); }
  bool is_leader() const { return is_leader_.load(std::memory_order_relaxed); }
  absl::Duration last_contact() const;
  // Calls `done` on the raft thread, with this server's view or, of the other servers, with the
  // leader's. From any thread.
  enum class View { kOwn, kLeaders };
  void WithStatus(View view, std::function<void(ConsensusStatus)> done);
  // Waits for that; not from the raft thread.
  ConsensusStatus status();

  // Asks the leader, whichever it is, for a change of the servers. From any thread; `done` on the
  // raft thread. Unavailable without a leader, NotFound for who is no member.
  void ChangeMembership(peer::v1::MembershipRequest request, StatusDone done);
  // Takes this server out of the cluster, for good or until it joins again: another leads, if it
  // did, and it is no member any more. Waits for that, for at most `timeout`; not from the raft
  // thread. Alone, it stays.
  absl::Status Leave(absl::Duration timeout);
  // Tells of a server that was heard of (by gossip), and whether it is alive. From any thread.
  void Learn(const peer::v1::Server& server, bool alive);

 private:
  Consensus(ConsensusOptions options, const Clock& clock, std::unique_ptr<DataDirectory> directory);
  absl::Status StartNode();
  void StopNode();

  struct Queued {
    catalog::v1::Command command;
    Done done;
    uint64_t proposed_ns;
  };

  // RaftNodeHost; on the raft thread.
  void SendTo(uint64_t to, peer::v1::Message message) override;
  void SendSnapshotTo(uint64_t to, peer::v1::InstallSnapshot info,
                      std::shared_ptr<const RaftBuffer> data) override;
  void RunElsewhere(std::function<void()> work, std::function<void()> done) override;
  void OnPublished(const registry::Changes& changes) override;
  void OnClusterId(const std::string& cluster_id) override;
  std::string NewClusterId() override;
  [[noreturn]] void OnFatal(const std::string& why) override;

  // PeerEvents; on gRPC's threads.
  absl::Status OnPeer(const peer::v1::Server& from, uint64_t to,
                      const std::string& cluster_id) override;
  void OnMessages(uint64_t from, peer::v1::Envelope envelope) override;
  void OnSnapshot(uint64_t from, peer::v1::InstallSnapshot info, RaftBuffer data,
                  std::function<void(absl::Status)> done) override;
  void OnIntroduce(peer::v1::IntroduceRequest request,
                   std::function<void(peer::v1::IntroduceResponse)> done) override;

  absl::Status MakeNode();
  // Starts it, once it is known how: alone, with others, or with what the disk has.
  absl::Status StartEngine(bool bootstrap);
  Joining::Own OwnState() const;
  // Looks for other servers, and sees whether that was enough to begin.
  void Seek();
  void ReadInbox();
  absl::Status AdoptCluster(const std::string& cluster_id);
  void KeepPeers();
  ConsensusStatus MakeStatus() const;

  void ProposeEntry(log::v1::Entry entry, Done done);
  void RestorePart(std::shared_ptr<const std::string> image, std::string id, size_t offset,
                   StatusDone done);

  // Gives the node what is queued.
  void Drain();
  void Settle();
  void UpdateGauges();
  void CountCommit(bool registers, bool deregisters, uint64_t took_ns);

  const ConsensusOptions options_;
  const Clock& clock_;
  ConsensusCounters counters_;
  std::unique_ptr<DataDirectory> directory_;  // Null: in memory.
  std::mutex mutex_;
  std::vector<Queued> queue_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::atomic<size_t> outstanding_{0};
  std::atomic<bool> has_leader_{false}, is_leader_{false};
  std::atomic<uint64_t> lease_until_ms_{0};   // UINT64_MAX: for as long as it is so.
  std::atomic<uint64_t> heard_leader_ms_{0};  // Not while it leads.

  struct Received {
    uint64_t from;
    peer::v1::Envelope envelope;
  };
  std::vector<Received> inbox_ ABSL_GUARDED_BY(mutex_);
  size_t inbox_octets_ ABSL_GUARDED_BY(mutex_) = 0;
  std::string cluster_id_ ABSL_GUARDED_BY(mutex_);
  uint64_t raft_id_ = 0;  // Set before other threads run.

  // Of the raft thread.
  bool engine_started_ = false;
  bool leaving_ = false;
  uint64_t last_leader_ = 0;
  std::unique_ptr<Joining> joining_;
  std::unique_ptr<PeerClient> client_;
  std::unique_ptr<LoopTimer> seeker_;
  std::string kept_peers_;
  std::unique_ptr<RaftDisk> disk_;
  std::unique_ptr<RaftNode> node_;
  const Published<registry::Snapshot>* published_ = nullptr;
  std::map<int, Observer> observers_;
  int next_subscription_ = 0;
  uv_prepare_t prepare_{};
  uv_check_t check_{};
  std::unique_ptr<LoopTimer> ticker_;
  std::thread elsewhere_;
  std::unique_ptr<Loop> backup_loop_;  // Makes and checks backups, which takes a while.
  std::unique_ptr<Loop> loop_;
  std::unique_ptr<PeerService> service_;  // Of the thread that starts and stops.
};

}  // namespace pharos::cluster
