// The catalog as this agent has it: to read, to change and to wait for. A server's is Consensus, a
// client agent's is Replica; whoever serves it to others needs not know which.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/counter.h"
#include "base/published.h"
#include "cluster/autopilot.h"
#include "cluster/catalog_stream.h"
#include "cluster/raft_node.h"
#include "proto/catalog.pb.h"
#include "proto/peer.pb.h"
#include "registry/changes.h"
#include "registry/snapshot.h"

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

// Of an agent that follows the catalog of others; counted since the start, for any thread.
struct ReplicaCounters {
  // 1 while a server is followed, and how old what it last said is.
  std::atomic<uint64_t> connected{0}, has_catalog{0}, index{0};
  // Servers followed one after the other, images taken, changes applied, octets of both.
  std::atomic<uint64_t> moves{0}, failures{0}, images{0}, changes{0}, octets{0};
  std::atomic<uint64_t> forwarded{0}, reads_asked{0}, local_changes{0};
  std::atomic<uint64_t> kept{0}, kept_octets{0}, keep_failures{0};
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

class CatalogAccess {
 public:
  virtual ~CatalogAccess() = default;
  CatalogAccess() = default;
  CatalogAccess(const CatalogAccess&) = delete;
  CatalogAccess& operator=(const CatalogAccess&) = delete;

  // Called once, on the catalog's thread: the index at which the command is visible to every reader
  // of this agent, or why not: InvalidArgument, NotFound and Aborted in words for the author of the
  // command; Unavailable and ResourceExhausted when nothing was changed; Unknown when nobody can
  // say whether it was or will be.
  using Done = std::function<void(absl::StatusOr<uint64_t>)>;
  using StatusDone = std::function<void(absl::Status)>;

  // From any thread. The command's time is set on the way. Validated before it is queued:
  // InvalidArgument in words for the author of the command.
  virtual void Propose(catalog::v1::Command command, Done done) = 0;
  // Waits for the outcome; not from the catalog's thread.
  absl::StatusOr<uint64_t> ProposeAndWait(catalog::v1::Command command);

  // Whether what is published is as new as `mode` wants, without asking anybody; false is no
  // answer. From any thread, without waiting.
  virtual bool IsReadable(ReadMode mode) const = 0;
  // From any thread: calls `done` once what is published is as new as `mode` wants, at once (and on
  // this thread) where that is so already, else on the catalog's thread. Unavailable ("No cluster
  // leader") when nobody could say for `rpc_hold_timeout` (7 s).
  virtual void WhenReadable(ReadMode mode, StatusDone done) = 0;

  // The whole catalog as it is now, as parts of an image (cluster/image_file.h). `done` is called
  // on a thread of its own.
  struct Backup {
    uint64_t index = 0;
    std::vector<std::string> parts;
  };
  virtual void TakeBackup(std::function<void(absl::StatusOr<Backup>)> done) = 0;
  // Puts the catalog of an image in the place of the present one, on all servers.
  // FailedPrecondition or DataLoss, and nothing is changed, for what is no image or a damaged one.
  virtual void RestoreBackup(std::string image, StatusDone done) = 0;
  // How the leader looks after the servers; Aborted when it was changed at another index than
  // `check_index`, where that is given.
  virtual void SetAutopilot(const AutopilotOptions& options, std::optional<uint64_t> check_index,
                            StatusDone done) = 0;

  // Calls `observer` on the catalog's thread after each publication that changed something, before
  // those who proposed the changes are answered. From any thread; ends with Unsubscribe, after
  // which no call runs or will.
  using Observer = std::function<void(const registry::Changes&)>;
  virtual int Subscribe(Observer observer) = 0;
  virtual void Unsubscribe(int subscription) = 0;

  // Has what concerns the topics (cluster/topics.h; registry/remote_catalogs.h) in what is
  // published, and calls `done`: at once and on this thread where it is so already, as it always is
  // but for agents that keep what they are asked for. From any thread. FailedPrecondition for a
  // topic of which such an agent never has all, Unavailable when nobody can tell.
  virtual void Have(const std::vector<std::string>& topics, StatusDone done);
  // Keeps them there for as long as what is returned is held.
  virtual std::shared_ptr<void> Hold(const std::vector<std::string>& topics);

  virtual const ConsensusCounters& counters() const { return counters_; }
  // Null: this agent follows no other; none follow this one.
  virtual const ReplicaCounters* replica_counters() const { return nullptr; }
  virtual const CatalogStreamCounters* stream_counters() const { return nullptr; }
  virtual const Published<registry::Snapshot>& published() const = 0;

  // From any thread, without waiting.
  virtual bool has_leader() const = 0;
  virtual bool is_leader() const = 0;
  virtual absl::Duration last_contact() const = 0;
  // Calls `done` on the catalog's thread, with this agent's view or, of the other servers, with the
  // leader's. From any thread.
  enum class View { kOwn, kLeaders };
  virtual void WithStatus(View view, std::function<void(ConsensusStatus)> done) = 0;
  // Waits for that; not from the catalog's thread.
  virtual ConsensusStatus status() = 0;

  // Asks the leader, whichever it is, for a change of the servers. From any thread; `done` on the
  // catalog's thread. Unavailable without a leader, NotFound for who is no member.
  virtual void ChangeMembership(peer::v1::MembershipRequest request, StatusDone done) = 0;

 protected:
  ConsensusCounters counters_;
};

}  // namespace pharos::cluster
