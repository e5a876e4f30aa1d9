// One server of the replicated catalog: the Raft engine, the state machine, and all that the
// servers say to each other beyond Raft itself: forwarded changes, reads that see the newest, and
// who is a member. Start reading at Settle.
//
// Given messages, times and proposals it returns messages and outcomes, and knows neither sockets
// nor threads: a whole cluster of them runs on one thread in tests/sim.
// Sources: Ongaro's thesis, sections 4 (membership) and 6.4 (reads).
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cluster/autopilot.h"
#include "cluster/raft_engine.h"
#include "cluster/state_machine.h"
#include "proto/peer.pb.h"

namespace pharos::cluster {

// How new the catalog has to be that a read sees.
enum class ReadMode : uint8_t {
  kStale,       // As this server has it.
  kDefault,     // As the leader has it under its lease, which a partition may break for a moment.
  kConsistent,  // With every change in it that was acknowledged before the read began.
};

struct RaftNodeOptions {
  peer::v1::Server self;
  RaftEngineOptions engine;
  // How long proposals and reads wait for a leader.
  absl::Duration hold = absl::Seconds(7);
  AutopilotOptions autopilot;
  // Where ids of requests begin: an answer to an earlier life of this server must fit none.
  uint64_t seed = 1;
  // Off where nobody will ever read one: snapshots then only shorten the log.
  bool makes_images = true;
};

class RaftNodeHost {
 public:
  virtual ~RaftNodeHost() = default;
  // To another server; may be lost. False: it never leaves this one.
  virtual bool SendTo(uint64_t to, peer::v1::Message message) = 0;
  // Whether what is sent now goes over a connection that is known to work. When there is none, one
  // is begun, and a Settle follows once it works.
  virtual bool Reaches(uint64_t to) = 0;
  // As SendTo; RaftNode::SnapshotSent is called at its end.
  virtual void SendSnapshotTo(uint64_t to, peer::v1::InstallSnapshot info,
                              std::shared_ptr<const RaftBuffer> data) = 0;
  virtual void RunElsewhere(std::function<void()> work, std::function<void()> done) = 0;
  // A publication changed something. Those who proposed the changes are answered after it.
  virtual void OnPublished(const registry::Changes& changes) = 0;
  // The cluster's id is known from now on; it is to be kept. False when it cannot be.
  virtual void OnClusterId(const std::string& cluster_id) = 0;
  virtual std::string NewClusterId() = 0;
  // An entry was applied; for who checks that all servers apply the same, and who passes it on.
  virtual void OnApplied(uint64_t /*index*/, Octets /*entry*/) {}
  // The catalog was replaced as a whole by one in which `index` was applied last.
  virtual void OnRestored(uint64_t /*index*/) {}
  // This server cannot go on without doing harm.
  [[noreturn]] virtual void OnFatal(const std::string& why) = 0;
};

class RaftNode : private RaftEngineHost {
 public:
  // Changes in one log entry, at most; and octets of them, but for a single one that is longer.
  static constexpr int kBatchCommandsMax = 512;
  static constexpr size_t kBatchOctetsMax = size_t{64} << 10;
  // Entries, or forwarded requests, that wait for their outcome.
  static constexpr size_t kInflightMax = 8;
  static constexpr size_t kProposalsMax = 16384;
  static constexpr size_t kReadsMax = 16384;
  static constexpr size_t kKnownServersMax = 256;

  // OK with the index at which the change is visible on this server. InvalidArgument, NotFound,
  // Aborted: what the catalog says of it. Unavailable, ResourceExhausted: not done. Unknown: nobody
  // can say whether it was or will be done.
  using Done = std::function<void(absl::StatusOr<uint64_t>)>;
  using ReadDone = std::function<void(absl::Status)>;

  // What a proposal holds: a command, or an entry of its own for what is not the catalog's.
  struct Proposal {
    catalog::v1::Command command;
    std::optional<log::v1::Entry> entry;
    Done done;
  };

  RaftNode(const RaftNodeOptions& options, RaftDisk& disk, RaftNodeHost& host);
  ~RaftNode() override;

  // Begins a cluster with this server alone. Before Start.
  absl::Status Bootstrap();
  absl::Status Start();
  // Everything that waits is answered, then `closed` is called.
  void Close(std::function<void()> closed);

  // After each event (a message, a tick, a disk that has written), once: publishes what was
  // applied, answers those whose changes are visible, and sends on what waits.
  void Settle();
  // Once in every heartbeat time.
  void Tick();
  void Receive(uint64_t from, peer::v1::Message message);
  bool ReceiveSnapshot(uint64_t from, const peer::v1::InstallSnapshot& info, RaftBuffer data);
  void SnapshotSent(uint64_t to) { engine_.SnapshotSent(to); }
  // Nothing reaches the server any more: what it was asked and has not answered it may have done.
  void PeerLost(uint64_t id);

  // Not forwarded more than once: `from_peer` says that another server asks.
  void Propose(Proposal proposal, bool from_peer = false);
  void Read(ReadMode mode, ReadDone done);

  // Who there is, as others tell: by asking each other, or by gossip. The leader makes members of
  // them. `alive` says whether it was heard of just now.
  void Learn(const peer::v1::Server& server, bool alive);
  std::vector<peer::v1::Server> known_servers() const;
  std::optional<peer::v1::Server> FindServer(uint64_t raft_id) const;

  // Asks the leader for a change of the configuration.
  void ChangeMembership(peer::v1::MembershipRequest request, ReadDone done);
  // Hands the leadership over if this server has it.
  void TransferLeadership(uint64_t to, ReadDone done);
  void RequestSnapshot() { engine_.RequestSnapshot(); }
  // The work of making an image of all that was applied, for another thread.
  std::function<std::vector<std::string>()> MakeImage(int64_t time_unix_ms);
  bool is_snapshot_under_way() const { return engine_.is_taking_snapshot(); }
  bool snapshot_pending() const { return engine_.snapshot_index() < engine_.last_applied(); }

  AutopilotState autopilot_state() const;
  // As the leader sees it, or after 2 s without an answer as this server does.
  void AskAutopilot(std::function<void(AutopilotState)> done);
  // As the cluster has it, else as this server was configured.
  AutopilotOptions autopilot() const;

  const RaftEngine& engine() const { return engine_; }
  const StateMachine& state_machine() const { return state_machine_; }
  StateMachine& state_machine() { return state_machine_; }
  const peer::v1::Server& self() const { return options_.self; }
  // 0 on the leader.
  absl::Duration last_contact() const;
  uint64_t heard_leader_ms() const {
    return heard_leader_ms_ == 0 ? started_ms_ : heard_leader_ms_;
  }
  // Until when (NowMs) default reads are answered here without asking anybody; 0: not at all.
  uint64_t lease_until_ms() const;
  // It leads and knows all that was acknowledged before it did.
  bool is_ready() const;
  size_t waiting_proposals() const { return proposals_.size(); }
  // A point in the log from which a backup is made: index and term.
  struct Counters {
    uint64_t entries = 0, forwarded = 0, unknown_outcomes = 0, confirm_rounds = 0, hints = 0;
    uint64_t refused = 0;
  };
  const Counters& counters() const { return counters_; }

 private:
  struct Waiting {
    Proposal proposal;
    uint64_t deadline_ms;
    bool from_peer;
  };
  using Batch = std::vector<Waiting>;
  struct Forwarded {
    Batch batch;
    uint64_t leader;
    uint64_t deadline_ms;
  };
  struct WaitingRead {
    ReadMode mode;
    uint64_t deadline_ms;
    // Applied from this index on it sees enough; unset until the leader has said so.
    std::optional<uint64_t> index;
    ReadDone done;
    std::function<void(absl::StatusOr<uint64_t>)> answer;  // A peer's, which wants the index alone.
  };
  // Who still follows us, asked at one time.
  struct Round {
    uint64_t term;
    uint64_t sent_ms;
    std::set<uint64_t> followers;
    // The oldest contact that an answer vouches for.
    std::map<uint64_t, uint64_t> vouched_ms;
    std::vector<WaitingRead> reads;
  };

  // RaftEngineHost.
  void Send(uint64_t to, peer::v1::Raft message) override;
  void SendSnapshot(uint64_t to, peer::v1::InstallSnapshot info,
                    std::shared_ptr<const RaftBuffer> data) override;
  void Apply(uint64_t index, Octets entry) override;
  std::function<std::vector<std::string>()> TakeImage() override;
  absl::Status Restore(Octets image) override;
  void RunElsewhere(std::function<void()> work, std::function<void()> done) override;
  [[noreturn]] void OnFatal(const std::string& why) override;

  void PublishApplied();
  void AnswerVisible();
  void NoticeLeadership();
  void NoticeLeader();
  void AskReadsAnew();
  void PumpProposals();
  void ReturnForwarded();
  void ProposeBatch(Batch batch);
  // False: it could not be sent, and waits again.
  bool ForwardBatch(uint64_t leader, Batch batch);
  Batch TakeBatch();
  void Requeue(Batch batch);
  void Fail(Batch& batch, const absl::Status& status);
  void PumpReads();
  void StartRound();
  void FinishRounds();
  void Hint();
  void Expire();
  void RunAutopilot();
  void DoChange(const peer::v1::MembershipRequest& request, const ReadDone& done);

  void OnWrite(uint64_t from, peer::v1::WriteRequest request);
  void OnWriteResult(const peer::v1::WriteResult& result);
  void OnReadIndex(uint64_t from, const peer::v1::ReadIndexRequest& request);
  void OnReadIndexResult(const peer::v1::ReadIndexResult& result);
  void OnConfirm(uint64_t from, const peer::v1::Confirm& confirm);
  void OnConfirmResult(uint64_t from, const peer::v1::ConfirmResult& result);
  void OnMembership(uint64_t from, const peer::v1::MembershipRequest& request);
  void OnAutopilotResult(const peer::v1::AutopilotResult& result);
  void OnMembershipResult(const peer::v1::MembershipResult& result);

  uint64_t Now() const { return engine_.NowMs(); }
  std::vector<uint64_t> OtherVoters() const;
  bool IsVoter(uint64_t id) const;
  bool IsQuorum(const std::set<uint64_t>& others) const;
  uint64_t HoldDeadline() const;

  RaftNodeOptions options_;
  RaftNodeHost& host_;
  StateMachine state_machine_;
  RaftEngine engine_;
  Counters counters_;
  bool closing_ = false;

  std::deque<Waiting> proposals_;
  uint64_t batches_ = 0;
  std::map<uint64_t, Batch> inflight_;       // By the batch's number: in our own log.
  std::map<uint64_t, Forwarded> forwarded_;  // By the request's id.
  uint64_t last_leader_ = 0;                 // The last that was known.
  struct Outcome {
    uint64_t index;
    absl::StatusOr<uint64_t> result;
    Done done;
    uint64_t deadline_ms;
  };
  std::deque<Outcome> outcomes_;  // Known, and told once they are visible here.

  std::vector<WaitingRead> reads_;               // For which nobody was asked yet.
  std::vector<WaitingRead> applying_reads_;      // Which wait for the index to be applied.
  std::map<uint64_t, WaitingRead> asked_reads_;  // By the request's id: the leader was asked.
  std::map<uint64_t, Round> rounds_;             // By number.
  uint64_t next_round_ = 1;
  uint64_t next_request_ = 1;
  std::map<uint64_t, std::pair<ReadDone, uint64_t>> membership_;  // By the request's id; deadline.

  // Questions to the leader for its view of the servers, by id; deadline.
  std::map<uint64_t, std::pair<std::function<void(AutopilotState)>, uint64_t>> views_;

  // Of the present leadership.
  uint64_t led_term_ = 0;     // 0: we do not lead.
  uint64_t ready_index_ = 0;  // Committed up to here, all earlier acknowledged changes are.
  uint64_t lease_until_ms_ = 0;
  bool first_entry_proposed_ = false;
  std::map<uint64_t, uint64_t> commit_sent_;  // The newest commit index that a server was told.
  struct Contact {
    uint64_t heard_ms = 0;
    uint64_t last_index = 0;
    uint64_t term = 0;
  };
  std::map<uint64_t, Contact> contacts_;  // Of other servers, while we lead.
  std::map<uint64_t, uint64_t> stable_since_ms_;
  uint64_t autopilot_ms_ = 0;

  uint64_t heard_leader_ms_ = 0;
  uint64_t started_ms_ = 0;
  struct Known {
    peer::v1::Server server;
    uint64_t alive_ms = 0;  // 0: never heard of as alive.
  };
  std::map<uint64_t, Known> known_;
};

// A server as its Raft address says it, and back: name, node id and network address.
std::string EncodeServerAddress(const peer::v1::Server& server);
peer::v1::Server DecodeServerAddress(uint64_t raft_id, const std::string& address);

}  // namespace pharos::cluster
