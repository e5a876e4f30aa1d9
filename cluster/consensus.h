// The catalog as a server has it, and the one way to change it: propose a command, and hear when it
// is committed and visible. Runs this server's RaftNode on a thread of its own, with its disk and
// its messages. In development mode, and in tests, it is a cluster of one server in memory by the
// same code.
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
#include "base/loop.h"
#include "cluster/catalog_access.h"
#include "cluster/catalog_service.h"
#include "cluster/catalog_stream.h"
#include "cluster/data_directory.h"
#include "cluster/joining.h"
#include "cluster/local_parts.h"
#include "cluster/peer_client.h"
#include "cluster/peer_service.h"
#include "cluster/raft_node.h"
#include "cluster/state_machine.h"
#include "proto/catalog.pb.h"
#include "registry/freshness.h"

namespace pharos::cluster {

class RemoteCatalog;

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
  // It takes no others in: it listens for agents of other datacenters alone, if it can.
  bool alone = false;
  bool bootstrap = true;                   // A server without state begins a cluster of its own.
  int bootstrap_expect = 0;                // So many servers begin one together.
  absl::Duration hold = absl::Seconds(7);  // That proposals and reads wait for a leader.
  uint32_t election_timeout_ms = 500;
  uint32_t heartbeat_ms = 100;
  uint32_t snapshot_entries = 16384;
  uint32_t trailing_entries = 8192;
  AutopilotOptions autopilot;
};

class Consensus : public CatalogAccess,
                  private RaftNodeHost,
                  private PeerEvents,
                  private CatalogEvents {
 public:
  // Proposals that wait at one time; one more is refused with ResourceExhausted.
  static constexpr size_t kProposalsMax = 16384;

  // A cluster of one in memory. Starts the thread `raft`. `clock` is borrowed.
  Consensus(std::string datacenter, const Clock& clock);
  // What `options` say. An error leaves nothing running.
  static absl::StatusOr<std::unique_ptr<Consensus>> Start(ConsensusOptions options,
                                                          const Clock& clock);
  // Proposals that have no outcome yet are answered with Unavailable or Unknown. With a disk, a
  // snapshot is written first (for at most 10 s), so that the next start has the whole catalog even
  // before there is a leader.
  ~Consensus() override;

  // CatalogAccess.
  void Propose(catalog::v1::Command command, Done done) override;
  bool IsReadable(ReadMode mode) const override;
  void WhenReadable(ReadMode mode, StatusDone done) override;
  void TakeBackup(std::function<void(absl::StatusOr<Backup>)> done) override;
  void RestoreBackup(std::string image, StatusDone done) override;
  void SetAutopilot(const AutopilotOptions& options, std::optional<uint64_t> check_index,
                    StatusDone done) override;
  int Subscribe(Observer observer) override;
  void Unsubscribe(int subscription) override;
  // Until the leader, or its log, was heard since the start, what is published is old, or nothing.
  const registry::SharedFreshness& freshness() const { return freshness_; }
  const Published<registry::Snapshot>& published() const override { return *published_; }
  bool has_leader() const override { return has_leader_.load(std::memory_order_relaxed); }
  bool is_leader() const override { return is_leader_.load(std::memory_order_relaxed); }
  absl::Duration last_contact() const override;
  void WithStatus(View view, std::function<void(ConsensusStatus)> done) override;
  ConsensusStatus status() override;
  void ChangeMembership(peer::v1::MembershipRequest request, StatusDone done) override;
  const CatalogStreamCounters* stream_counters() const override {
    return stream_ == nullptr ? nullptr : &stream_->counters();
  }

  // What other agents ask of other datacenters, and by HTTP; any thread. Nothing: it is refused.
  // `remote` is borrowed, and outlives this.
  using HttpHandler = std::function<std::function<void()>(
      peer::v1::HttpRequest, std::function<void(absl::StatusOr<peer::v1::HttpResponse>)>)>;
  void SetRemote(RemoteCatalog* remote);
  void SetHttp(HttpHandler handler);

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
  bool SendTo(uint64_t to, peer::v1::Message message) override;
  bool Reaches(uint64_t to) override;
  void SendSnapshotTo(uint64_t to, peer::v1::InstallSnapshot info,
                      std::shared_ptr<const RaftBuffer> data) override;
  void RunElsewhere(std::function<void()> work, std::function<void()> done) override;
  void OnPublished(const registry::Changes& changes) override;
  void OnClusterId(const std::string& cluster_id) override;
  void OnApplied(uint64_t index, Octets entry) override;
  void OnRestored(uint64_t index) override;
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

  // CatalogEvents; on gRPC's threads.
  std::function<void()> OnHttp(
      peer::v1::HttpRequest request,
      std::function<void(absl::StatusOr<peer::v1::HttpResponse>)> done) override;
  absl::StatusOr<std::unique_ptr<PartWatcher>> OnWatch(const peer::v1::WatchRequest& request,
                                                       std::function<void()> ready) override;
  void OnClientWrite(peer::v1::WriteRequest request,
                     std::function<void(peer::v1::WriteResult)> done) override;
  void OnClientRead(bool consistent, std::function<void(peer::v1::ReadIndexResult)> done) override;

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
  // Finds out whether what it has is as new as the leader had it since the start.
  void CatchUp();
  void UpdateGauges();
  // Tells followers of the catalog how this server stands, about once a second.
  void Pulse();
  void WakeFollowers();
  void CountCommit(bool registers, bool deregisters, uint64_t took_ns);

  const ConsensusOptions options_;
  const Clock& clock_;
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
  bool catching_up_ = false;
  registry::SharedFreshness freshness_{registry::Freshness::kAbsent};
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
  // Null where no other agent is served. Its loop calls those who wait for changes.
  std::unique_ptr<CatalogStream> stream_;
  std::unique_ptr<Loop> stream_loop_;
  std::unique_ptr<LocalParts> parts_;
  std::mutex remote_mutex_;
  RemoteCatalog* remote_ ABSL_GUARDED_BY(remote_mutex_) = nullptr;
  HttpHandler http_ ABSL_GUARDED_BY(remote_mutex_);
  std::atomic<bool> wake_posted_{false};
  uint64_t pulsed_ms_ = 0;
  std::unique_ptr<Loop> loop_;
  std::unique_ptr<PeerService> service_;  // Of the thread that starts and stops.
};

}  // namespace pharos::cluster
