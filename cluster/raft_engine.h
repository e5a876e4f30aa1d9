// The Raft engine: libraft behind an interface of ours. It decides; what it decides is sent, stored
// and applied by others. The only way to libraft, whose pitfalls are kept in here.
// Source: Ongaro and Ousterhout, "In Search of an Understandable Consensus Algorithm" (2014), and
// libraft 0.22.1.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/octets.h"
#include "cluster/raft_buffer.h"
#include "cluster/raft_disk.h"
#include "proto/peer.pb.h"

namespace pharos::cluster {

enum class RaftRole : uint8_t { kStandby, kVoter, kSpare };

struct RaftServer {
  uint64_t id = 0;
  std::string address;  // Means nothing to Raft; never changes.
  RaftRole role = RaftRole::kSpare;
  friend bool operator==(const RaftServer&, const RaftServer&) = default;
};

enum class RaftState : uint8_t { kUnavailable, kFollower, kCandidate, kLeader };

struct RaftEngineOptions {
  uint64_t id = 0;  // Random, never 0, never used again by another server.
  std::string address;
  uint32_t election_timeout_ms = 500;  // Of a follower: 1 to 2 times that.
  uint32_t heartbeat_ms = 100;
  // A snapshot is taken after so many log entries, or so many octets of them, whichever comes
  // first; so many entries are kept behind it for servers that are not far back.
  uint32_t snapshot_entries = 16384;
  uint64_t snapshot_octets = uint64_t{64} << 20;
  uint32_t trailing_entries = 8192;
};

// What the engine asks of its surroundings; all calls are on its thread, from within a call of the
// engine or of its disk.
class RaftEngineHost {
 public:
  virtual ~RaftEngineHost() = default;
  // May be lost, doubled or late.
  virtual void Send(uint64_t to, peer::v1::Raft message) = 0;
  // The same for a snapshot; SnapshotSent is called when it has been taken or is given up. At most
  // one to each server at a time.
  virtual void SendSnapshot(uint64_t to, peer::v1::InstallSnapshot info,
                            std::shared_ptr<const RaftBuffer> data) = 0;
  // A committed entry, each once and in order.
  virtual void Apply(uint64_t index, Octets entry) = 0;
  // The image of all that was applied so far: the work of making it, for another thread.
  virtual std::function<std::vector<std::string>()> TakeImage() = 0;
  // The state becomes that of an image. An error stops the server.
  virtual absl::Status Restore(Octets image) = 0;
  // Runs `work` away from this thread, and then `done` on it.
  virtual void RunElsewhere(std::function<void()> work, std::function<void()> done) = 0;
  // What is on the disk is not, or may not be, what the engine says that it is.
  [[noreturn]] virtual void OnFatal(const std::string& why) = 0;
};

class RaftEngine {
 public:
  // An entry's octets are a multiple of this.
  static constexpr size_t kEntryAlignment = 8;
  // Outcome of a proposal: OK once it is applied; Aborted when leadership was lost or the engine
  // closed, so that nobody knows whether it will be.
  using Done = std::function<void(absl::Status)>;

  // `disk` and `host` outlive it.
  RaftEngine(const RaftEngineOptions& options, RaftDisk& disk, RaftEngineHost& host);
  // After Close has ended, or without Start.
  ~RaftEngine();
  RaftEngine(const RaftEngine&) = delete;
  RaftEngine& operator=(const RaftEngine&) = delete;

  // Writes the first configuration of a new cluster: FailedPrecondition when there is one already.
  // Before Start.
  absl::Status Bootstrap(const std::vector<RaftServer>& servers);
  // Puts another configuration in the place of the last one, whatever a majority thinks. Before
  // Start, and only for an operator who knows that the others are gone.
  absl::Status Recover(const std::vector<RaftServer>& servers);
  // Reads what the disk has and begins. DataLoss for what cannot be read.
  absl::Status Start();
  // `closed` is called when nothing of it runs any more.
  void Close(std::function<void()> closed);

  // Once in every heartbeat time, where the disk does not.
  void Tick();
  void Receive(uint64_t from, const peer::v1::Raft& message);
  // Returns whether it was taken: not while this server writes a snapshot of its own, or installs
  // another one.
  bool ReceiveSnapshot(uint64_t from, const peer::v1::InstallSnapshot& info, RaftBuffer data);
  // The transfer of a snapshot to a server has ended, well or not.
  void SnapshotSent(uint64_t to);

  // The leader alone: FailedPrecondition elsewhere, ResourceExhausted when the disks of a majority
  // are full; then nothing was proposed. Else `done` follows.
  absl::Status Propose(RaftBuffer entry, Done done);
  // Changes of the configuration, one at a time (FailedPrecondition while there is one).
  absl::Status Add(uint64_t id, const std::string& address, Done done);
  absl::Status Assign(uint64_t id, RaftRole role, Done done);
  absl::Status Remove(uint64_t id, Done done);
  // To `id`, or 0 for any voter. `done` says whether somebody else leads now.
  absl::Status Transfer(uint64_t id, Done done);
  // After each event: sees whether enough was applied since the last snapshot, and whether a change
  // of the configuration has come to nothing.
  void Settle();
  // A snapshot is taken as soon as there is anything new.
  void RequestSnapshot();
  bool is_taking_snapshot() const { return taking_snapshot_ || snapshot_wanted_; }

  RaftState state() const;
  bool is_leader() const { return state() == RaftState::kLeader; }
  bool transferring() const;
  uint64_t id() const { return options_.id; }
  uint64_t term() const;
  uint64_t leader() const;  // 0: not known.
  uint64_t commit_index() const;
  uint64_t last_index() const;
  uint64_t last_applied() const;
  uint64_t snapshot_index() const { return snapshot_index_; }
  uint64_t log_octets() const { return log_octets_; }
  // Of another server, while this one leads; 0 where it is not known.
  uint64_t match_index(uint64_t id) const;
  std::vector<RaftServer> configuration() const;
  bool has_configuration() const;
  bool change_pending() const { return change_done_ != nullptr; }
  RaftDisk& disk() { return disk_; }
  uint64_t NowMs() const { return disk_.NowMs(); }

  // Counted since the start.
  struct Counters {
    uint64_t snapshots_taken = 0, snapshots_installed = 0, snapshots_sent = 0;
    uint64_t snapshots_refused = 0;    // By ReceiveSnapshot.
    uint64_t rejections_softened = 0;  // Overtaken, or while a snapshot is on its way.
  };
  const Counters& counters() const { return counters_; }

 private:
  struct Impl;
  friend struct Impl;

  const RaftEngineOptions options_;
  RaftDisk& disk_;
  RaftEngineHost& host_;
  std::unique_ptr<Impl> impl_;
  bool taking_snapshot_ = false;
  size_t snapshots_loading_ = 0;
  std::set<uint64_t> snapshots_sending_;
  std::unique_ptr<Done> change_done_;
  std::unique_ptr<Done> transfer_done_;
  uint64_t log_octets_ = 0;  // Applied since the last snapshot.
  uint64_t image_octets_ = 0;
  uint64_t snapshot_index_ = 0;
  bool snapshot_wanted_ = false;
  Counters counters_;
};

}  // namespace pharos::cluster
