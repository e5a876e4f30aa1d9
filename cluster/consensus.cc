#include "cluster/consensus.h"

#include <unistd.h>
#include <uv.h>

#include <algorithm>
#include <iostream>
#include <latch>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/check.h"
#include "base/log.h"
#include "base/random.h"
#include "base/status_macros.h"
#include "cluster/edge.h"
#include "cluster/memory_disk.h"
#include "cluster/remote_catalog.h"
#include "registry/command.h"

namespace pharos::cluster {
namespace {

constexpr absl::Duration kLastSnapshotMax = absl::Seconds(10);
constexpr size_t kRestorePartOctets = size_t{1} << 20;
constexpr absl::Duration kSeekInterval = absl::Milliseconds(250);
constexpr uint64_t kPulseMs = 1000;
// So long after it heard of the leader last, what a server has is called stale.
constexpr absl::Duration kStaleAfter = absl::Seconds(10);
// Of messages that the raft thread has not read yet.
constexpr size_t kInboxOctetsMax = size_t{256} << 20;

ConsensusOptions InMemory(std::string datacenter) {
  ConsensusOptions options;
  options.datacenter = std::move(datacenter);
  return options;
}

// DataLoss with the way out of it.
absl::Status ExplainDamage(const DataDirectory* directory, const absl::Status& status) {
  if (!absl::IsDataLoss(status)) return status;
  return absl::DataLossError(absl::StrFormat(
      "the Raft log in %s is damaged: %s. If other servers have the catalog, move the directory "
      "away and start again: this server joins them as a new one. Else restore a backup "
      "(docs/operating.md)",
      directory == nullptr ? "memory" : directory->path(), std::string(status.message())));
}

}  // namespace

Consensus::Consensus(std::string datacenter, const Clock& clock)
    : Consensus(InMemory(std::move(datacenter)), clock, nullptr) {
  CHECK(StartNode().ok());
}

absl::StatusOr<std::unique_ptr<Consensus>> Consensus::Start(ConsensusOptions options,
                                                            const Clock& clock) {
  std::unique_ptr<DataDirectory> directory;
  if (!options.data_dir.empty()) {
    ASSIGN_OR_RETURN(directory, DataDirectory::Open(options.data_dir, options.node_id));
  }
  std::unique_ptr<Consensus> consensus(
      new Consensus(std::move(options), clock, std::move(directory)));
  RETURN_IF_ERROR(consensus->StartNode());
  return consensus;
}

Consensus::Consensus(ConsensusOptions options, const Clock& clock,
                     std::unique_ptr<DataDirectory> directory)
    : options_(std::move(options)),
      clock_(clock),
      directory_(std::move(directory)),
      backup_loop_(std::make_unique<Loop>("backup")),
      loop_(std::make_unique<Loop>("raft")) {}

Consensus::~Consensus() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  StopNode();
  if (stream_loop_ != nullptr) stream_loop_->Stop();
  loop_->Stop();
  if (elsewhere_.joinable()) elsewhere_.join();
}

absl::Status Consensus::StartNode() {
  absl::Status started;
  if (!options_.listen.empty()) {
    stream_loop_ = std::make_unique<Loop>("catalog-stream");
    stream_ =
        std::make_unique<CatalogStream>(options_.datacenter, [this](CatalogStream::ImageDone done) {
          TakeBackup([done = std::move(done)](absl::StatusOr<Backup> backup) {
            if (!backup.ok()) return done(backup.status());
            done(CatalogStream::Image{.index = backup->index, .parts = std::move(backup->parts)});
          });
        });
  }
  loop_->PostAndWait([&] { started = MakeNode(); });
  RETURN_IF_ERROR(started);
  if (!options_.listen.empty()) {
    auto service = PeerService::Start(options_.listen, options_.tls, *this, *stream_, *this);
    if (!service.ok() && !options_.alone) return service.status();
    if (service.ok()) {
      service_ = *std::move(service);
    } else {
      PHAROS_LOG(kWarn, "agent.server", "No other datacenter can ask this agent: %s",
                 std::string(service.status().message()));
    }
  }
  // Alone, it leads by the time that this returns.
  loop_->PostAndWait([&] {
    if (joining_->Decide(NowMs(), OwnState()) != Joining::Verdict::kWait) {
      started = StartEngine(options_.bootstrap);
    }
    if (client_ == nullptr || !started.ok()) return;
    seeker_ = std::make_unique<LoopTimer>(loop_->uv());
    seeker_->Every(kSeekInterval, [this] { Seek(); });
    Seek();
  });
  return started;
}

absl::Status Consensus::MakeNode() {
  RaftNodeOptions options;
  raft_id_ = directory_ != nullptr ? directory_->raft_id() : (SecureRandomU64() >> 1) | 1;
  options.self.set_raft_id(raft_id_);
  options.self.set_name(options_.node_name);
  options.self.set_node_id(options_.node_id);
  options.self.set_address(options_.address);
  options.self.set_datacenter(options_.datacenter);
  options.self.set_version(options_.version);
  options.self.set_bootstrap_expect(options_.bootstrap_expect);
  options.engine = {.id = raft_id_,
                    .address = EncodeServerAddress(options.self),
                    .election_timeout_ms = options_.election_timeout_ms,
                    .heartbeat_ms = options_.heartbeat_ms,
                    .snapshot_entries = options_.snapshot_entries,
                    .trailing_entries = options_.trailing_entries};
  options.hold = options_.hold;
  options.autopilot = options_.autopilot;
  options.seed = SecureRandomU64();
  options.makes_images = directory_ != nullptr;
  if (directory_ != nullptr) {
    auto disk = OpenUvRaftDisk(loop_->uv(), directory_->log_path(),
                               [this](const std::string& why) { OnFatal(why); });
    if (!disk.ok()) return ExplainDamage(directory_.get(), disk.status());
    disk_ = *std::move(disk);
    const std::lock_guard lock(mutex_);
    cluster_id_ = directory_->cluster_id();
  } else {
    disk_ = std::make_unique<MemoryDisk>(
        nullptr, NowMs, [this](std::function<void()> work) { loop_->Post(std::move(work)); },
        SecureRandomU64());
  }
  RaftNodeHost& host = *this;
  node_ = std::make_unique<RaftNode>(options, *disk_, host);
  published_ = &node_->state_machine().published();
  if (stream_ != nullptr) parts_ = std::make_unique<LocalParts>(*published_);
  if (directory_ != nullptr) {
    for (const peer::v1::Server& peer : directory_->LoadPeers()) node_->Learn(peer, false);
  }
  joining_ = std::make_unique<Joining>(options.self, options_.join, options_.bootstrap);
  if (options_.listen.empty() || options_.alone) return absl::OkStatus();
  PeerClientOptions client;
  client.self = options.self;
  client.tls = options_.tls;
  client.on_lost = [this](uint64_t id) { loop_->Post([this, id] { node_->PeerLost(id); }); };
  // Whatever comes to the loop, Settle follows it.
  client.on_connected = [this](uint64_t) { loop_->Post([] {}); };
  ASSIGN_OR_RETURN(client_, PeerClient::Make(std::move(client)));
  if (directory_ != nullptr) client_->SetClusterId(directory_->cluster_id());
  return absl::OkStatus();
}

absl::Status Consensus::StartEngine(bool bootstrap) {
  // Who was part of a cluster begins no other, even when nothing is left of its log.
  if (bootstrap && (directory_ == nullptr || directory_->cluster_id().empty())) {
    absl::Status bootstrapped = node_->Bootstrap();
    // With a cluster there already, there is nothing to begin.
    if (!bootstrapped.ok() && !absl::IsFailedPrecondition(bootstrapped)) return bootstrapped;
  }
  // Before libraft's own handles, which libuv then calls first.
  uv_prepare_init(loop_->uv(), &prepare_);
  uv_check_init(loop_->uv(), &check_);
  prepare_.data = check_.data = this;
  uv_prepare_start(&prepare_,
                   [](uv_prepare_t* handle) { static_cast<Consensus*>(handle->data)->Settle(); });
  uv_check_start(&check_,
                 [](uv_check_t* handle) { static_cast<Consensus*>(handle->data)->Settle(); });
  ticker_ = std::make_unique<LoopTimer>(loop_->uv());
  ticker_->Every(absl::Milliseconds(options_.heartbeat_ms), [this] {
    node_->Tick();
    UpdateGauges();
  });
  engine_started_ = true;
  absl::Status begun = node_->Start();
  Settle();
  const uint64_t reached = directory_ == nullptr ? 0 : directory_->reached_index();
  if (begun.ok() && node_->engine().last_index() < reached) {
    begun = absl::DataLossError(absl::StrFormat("it ends at index %d, and it once reached %d",
                                                node_->engine().last_index(), reached));
  }
  return ExplainDamage(directory_.get(), begun);
}

Joining::Own Consensus::OwnState() const {
  Joining::Own own;
  own.started = engine_started_;
  own.has_state = node_->engine().has_configuration();
  for (const RaftServer& server : node_->engine().configuration()) {
    own.is_member = own.is_member || server.id == raft_id_;
  }
  if (directory_ != nullptr) own.cluster_id = directory_->cluster_id();
  own.leader = node_->engine().leader();
  own.known = node_->known_servers();
  return own;
}

void Consensus::Seek() {
  if (leaving_) return;  // Whoever is asked takes who asks in.
  const Joining::Own own = OwnState();
  for (const Joining::Ask& ask : joining_->Due(NowMs(), own)) {
    peer::v1::IntroduceRequest request;
    *request.mutable_from() = node_->self();
    request.set_cluster_id(own.cluster_id);
    request.set_claim(ask.claim);
    client_->Introduce(
        ask.address, std::move(request),
        [this, address = ask.address](const absl::StatusOr<peer::v1::IntroduceResponse>& answer) {
          if (!answer.ok()) return;
          loop_->Post([this, address, answer = *answer] {
            joining_->OnAnswer(NowMs(), address, answer);
            const std::string own_cluster = OwnState().cluster_id;
            if (!answer.cluster_id().empty() && !own_cluster.empty() &&
                answer.cluster_id() != own_cluster) {
              PHAROS_LOG(kError, "agent.server",
                         "The server at %s is of another cluster: its id is %s, ours is %s",
                         address, answer.cluster_id(), own_cluster);
              return;
            }
            if (answer.self().raft_id() != raft_id_) node_->Learn(answer.self(), true);
            for (const peer::v1::Server& server : answer.servers()) node_->Learn(server, false);
          });
        });
  }
  KeepPeers();
  const Joining::Verdict verdict = joining_->Decide(NowMs(), own);
  if (verdict == Joining::Verdict::kWait) return;
  const bool bootstrap = verdict == Joining::Verdict::kBootstrap;
  if (bootstrap)
    PHAROS_LOG(kInfo, "agent.server", "Found expected number of peers, attempting bootstrap");
  if (const absl::Status started = StartEngine(bootstrap); !started.ok()) {
    OnFatal(std::string(started.message()));
  }
}

void Consensus::KeepPeers() {
  const std::vector<peer::v1::Server> peers = node_->known_servers();
  std::map<uint64_t, std::string> addresses;
  std::string text;
  for (const peer::v1::Server& peer : peers) {
    addresses[peer.raft_id()] = peer.address();
    text += peer.SerializeAsString();
  }
  for (const RaftServer& server : node_->engine().configuration()) addresses[server.id];
  client_->KeepOnly(addresses);
  if (directory_ == nullptr || text == kept_peers_) return;
  kept_peers_ = text;
  if (const absl::Status saved = directory_->SavePeers(peers); !saved.ok()) {
    PHAROS_LOG(kWarn, "agent.server", "The known servers are not kept: %s",
               std::string(saved.message()));
  }
}

void Consensus::StopNode() {
  // Ends what runs on gRPC's threads while this thread can still do what they wait for.
  service_.reset();
  backup_loop_->Stop();
  // So that the next start has the whole catalog before it has a leader.
  if (directory_ != nullptr && engine_started_) {
    const absl::Time deadline = absl::Now() + kLastSnapshotMax;
    bool pending = false;
    loop_->PostAndWait([&] {
      pending = node_->snapshot_pending();
      if (pending) node_->RequestSnapshot();
    });
    while (pending && absl::Now() < deadline) {
      absl::SleepFor(absl::Milliseconds(5));
      loop_->PostAndWait(
          [&] { pending = node_->snapshot_pending() && node_->is_snapshot_under_way(); });
    }
  }
  std::latch closed(1);
  loop_->PostAndWait([&] {
    if (node_ == nullptr) return closed.count_down();
    Drain();
    ticker_.reset();
    seeker_.reset();
    if (engine_started_) {
      uv_prepare_stop(&prepare_);
      uv_check_stop(&check_);
    }
    node_->Close([&] { closed.count_down(); });
  });
  closed.wait();
  // It waits for gRPC's threads, which post to this one.
  client_.reset();
  loop_->PostAndWait([this] {
    if (prepare_.data != nullptr) {
      uv_close(reinterpret_cast<uv_handle_t*>(&prepare_), nullptr);
      uv_close(reinterpret_cast<uv_handle_t*>(&check_), nullptr);
    }
    observers_.clear();
  });
}

void Consensus::Propose(catalog::v1::Command command, Done done) {
  command.set_time_unix_ms(absl::ToUnixMillis(clock_.Now()));
  if (absl::Status valid = registry::ValidateCommand(command); !valid.ok()) {
    loop_->Post([done = std::move(done), valid] { done(valid); });
    return;
  }
  absl::Status refused;
  {
    const std::lock_guard lock(mutex_);
    if (stopped_) {
      refused = absl::UnavailableError("the agent is stopping; nothing was changed");
    } else if (outstanding_.load(std::memory_order_relaxed) >= kProposalsMax) {
      ++counters_.refused;
      refused = absl::ResourceExhaustedError(
          "too many changes are waiting; nothing was changed, try again");
    } else {
      // Whoever finds the queue empty wakes the thread; those who come before it runs join in.
      ++counters_.proposals;
      outstanding_.fetch_add(1, std::memory_order_relaxed);
      const bool wake = queue_.empty();
      queue_.push_back({std::move(command), std::move(done), uv_hrtime()});
      if (wake) loop_->Post([this] { Drain(); });
      return;
    }
  }
  done(refused);
}

void Consensus::Drain() {
  std::vector<Queued> batch;
  {
    const std::lock_guard lock(mutex_);
    batch.swap(queue_);
  }
  for (Queued& queued : batch) {
    // A batch is made by an agent about its own registrations; what it begins with says which way.
    const catalog::v1::Command& first = queued.command.batch().commands_size() > 0
                                            ? queued.command.batch().commands(0)
                                            : queued.command;
    const bool registers = first.has_register_(), deregisters = first.has_deregister();
    node_->Propose({.command = std::move(queued.command),
                    .entry = std::nullopt,
                    .done = [this, registers, deregisters, proposed_ns = queued.proposed_ns,
                             done = std::move(queued.done)](absl::StatusOr<uint64_t> outcome) {
                      outstanding_.fetch_sub(1, std::memory_order_relaxed);
                      if (outcome.ok())
                        CountCommit(registers, deregisters, uv_hrtime() - proposed_ns);
                      done(std::move(outcome));
                    }});
  }
}

void Consensus::CountCommit(bool registers, bool deregisters, uint64_t took_ns) {
  counters_.commit.Add(took_ns);
  if (registers) counters_.registration.Add(took_ns);
  if (deregisters) counters_.deregistration.Add(took_ns);
}

void Consensus::Settle() {
  if (node_ == nullptr) return;
  node_->Settle();
  const bool leads = node_->engine().is_leader();
  is_leader_.store(leads, std::memory_order_relaxed);
  has_leader_.store(node_->engine().leader() != 0, std::memory_order_relaxed);
  lease_until_ms_.store(node_->lease_until_ms(), std::memory_order_release);
  heard_leader_ms_.store(node_->heard_leader_ms(), std::memory_order_relaxed);
  const uint64_t leader = node_->engine().leader();
  if (leader != 0 && std::exchange(last_leader_, leader) != leader) ++counters_.leader_changes;
  if (freshness_.load(std::memory_order_relaxed) != registry::Freshness::kFresh) CatchUp();
}

void Consensus::CatchUp() {
  const bool any = node_->state_machine().last_index() > 1;
  freshness_ = any ? registry::Freshness::kStale : registry::Freshness::kAbsent;
  if (IsReadable(ReadMode::kDefault)) {
    freshness_ = registry::Freshness::kFresh;
    return;
  }
  if (!has_leader() || std::exchange(catching_up_, true)) return;
  node_->Read(ReadMode::kDefault, [this](const absl::Status& status) {
    catching_up_ = false;
    if (status.ok()) freshness_ = registry::Freshness::kFresh;
  });
}

void Consensus::Pulse() {
  const uint64_t now = NowMs();
  if (stream_ == nullptr || now - pulsed_ms_ < kPulseMs) return;
  pulsed_ms_ = now;
  const ConsensusStatus status = MakeStatus();
  peer::v1::Pulse pulse;
  pulse.set_index(node_->state_machine().last_index());
  *pulse.mutable_leader() = status.leader;
  pulse.set_last_contact_ms(absl::ToInt64Milliseconds(status.last_contact));
  for (const AutopilotServer& server : status.autopilot.servers) {
    *pulse.add_servers() = server.server;
  }
  {
    const std::lock_guard lock(remote_mutex_);
    if (remote_ != nullptr) {
      for (const std::string& name : remote_->paths().Datacenters()) pulse.add_datacenters(name);
      pulse.set_complete(remote_->is_complete());
    }
  }
  stream_->SetPulse(pulse);
  if (stream_->counters().followers > 0) WakeFollowers();
}

void Consensus::WakeFollowers() {
  // However much is published before it gets its turn, it is told once.
  if (wake_posted_.exchange(true)) return;
  stream_loop_->Post([this] {
    wake_posted_ = false;
    stream_->Wake();
    parts_->Wake();
  });
}

void Consensus::OnApplied(uint64_t index, Octets entry) {
  if (stream_ != nullptr) stream_->OnApplied(index, entry);
}

void Consensus::OnRestored(uint64_t index) {
  if (stream_ == nullptr) return;
  stream_->SetClusterId(node_->state_machine().cluster_id());
  stream_->OnRestored(index);
}

void Consensus::OnClientWrite(peer::v1::WriteRequest request,
                              std::function<void(peer::v1::WriteResult)> done) {
  // Answers once all have their outcome.
  struct Collected {
    std::mutex mutex;
    peer::v1::WriteResult result ABSL_GUARDED_BY(mutex);
    int missing ABSL_GUARDED_BY(mutex) = 0;
  };
  auto collected = std::make_shared<Collected>();
  const int count = request.commands_size();
  {
    const std::lock_guard lock(collected->mutex);
    collected->missing = count;
    for (int i = 0; i < count; ++i) collected->result.add_outcomes();
  }
  if (count == 0) return done({});
  for (int i = 0; i < count; ++i) {
    Propose(std::move(*request.mutable_commands(i)),
            [i, collected, done](const absl::StatusOr<uint64_t>& outcome) {
              peer::v1::WriteResult result;
              {
                const std::lock_guard lock(collected->mutex);
                auto& to = *collected->result.mutable_outcomes(i);
                to.mutable_status()->set_code(outcome.status().raw_code());
                to.mutable_status()->set_message(std::string(outcome.status().message()));
                if (outcome.ok()) to.set_index(*outcome);
                if (--collected->missing > 0) return;
                result = std::move(collected->result);
              }
              done(std::move(result));
            });
  }
}

void Consensus::SetRemote(RemoteCatalog* remote) {
  const std::lock_guard lock(remote_mutex_);
  remote_ = remote;
}

void Consensus::SetHttp(HttpHandler handler) {
  const std::lock_guard lock(remote_mutex_);
  http_ = std::move(handler);
}

std::function<void()> Consensus::OnHttp(
    peer::v1::HttpRequest request,
    std::function<void(absl::StatusOr<peer::v1::HttpResponse>)> done) {
  {
    // Held until the request is handed over, so that who takes it is there.
    const std::lock_guard lock(remote_mutex_);
    const bool ours = request.datacenter() == options_.datacenter;
    if (ours && http_) return http_(std::move(request), std::move(done));
    if (!ours && remote_ != nullptr) return remote_->Http(std::move(request), std::move(done));
  }
  done(absl::UnavailableError("this server answers no requests of others now"));
  return nullptr;
}

absl::StatusOr<std::unique_ptr<PartWatcher>> Consensus::OnWatch(
    const peer::v1::WatchRequest& request, std::function<void()> ready) {
  if (request.datacenter() == options_.datacenter) {
    if (freshness_ != registry::Freshness::kFresh) {
      return absl::UnavailableError("this server has just started, and may lack what is new");
    }
    return parts_->Watch(request.topic(), std::move(ready));
  }
  const std::lock_guard lock(remote_mutex_);
  if (remote_ == nullptr) return absl::NotFoundError("No path to datacenter");
  return remote_->Watch(request.datacenter(), request.topic(), std::move(ready));
}

void Consensus::OnClientRead(bool consistent, std::function<void(peer::v1::ReadIndexResult)> done) {
  const auto answer = [this, done = std::move(done)](const absl::Status& status) {
    peer::v1::ReadIndexResult result;
    result.mutable_status()->set_code(status.raw_code());
    result.mutable_status()->set_message(std::string(status.message()));
    if (status.ok()) result.set_index(node_->state_machine().last_index());
    done(std::move(result));
  };
  const ReadMode mode = consistent ? ReadMode::kConsistent : ReadMode::kDefault;
  if (!loop_->Post([this, mode, answer] { node_->Read(mode, answer); })) {
    answer(absl::UnavailableError("the agent is stopping"));
  }
}

void Consensus::UpdateGauges() {
  Pulse();
  // Others may have gone on without this server.
  if (freshness_ == registry::Freshness::kFresh && last_contact() > kStaleAfter) {
    freshness_ = registry::Freshness::kStale;
  }
  const RaftEngine& engine = node_->engine();
  counters_.term = engine.term();
  counters_.commit_index = engine.commit_index();
  counters_.applied_index = engine.last_applied();
  counters_.last_index = engine.last_index();
  counters_.snapshot_index = engine.snapshot_index();
  uint64_t voters = 0;
  const AutopilotState autopilot = node_->autopilot_state();
  for (const AutopilotServer& server : autopilot.servers) {
    if (server.role == RaftRole::kVoter) ++voters;
  }
  counters_.voters = voters;
  // Only the leader hears from all.
  counters_.healthy = autopilot.healthy || !autopilot.known;
  counters_.failure_tolerance =
      autopilot.known ? static_cast<uint64_t>(autopilot.failure_tolerance) : 0;
  counters_.forwarded = node_->counters().forwarded;
  counters_.unknown_outcomes = node_->counters().unknown_outcomes;
  counters_.confirm_rounds = node_->counters().confirm_rounds;
  counters_.snapshots_taken = engine.counters().snapshots_taken;
  counters_.snapshots_installed = engine.counters().snapshots_installed;
  counters_.snapshots_sent = engine.counters().snapshots_sent;
  counters_.disk_full = disk_->full_count();
  if (directory_ != nullptr && !node_->state_machine().cluster_id().empty() &&
      (directory_->reached_index() == 0 || engine.snapshot_index() > directory_->reached_index())) {
    // So that a log of which the end is gone is told apart from one that is young.
    if (const absl::Status kept = directory_->SetReachedIndex(
            std::max(engine.snapshot_index(), node_->state_machine().last_index()));
        !kept.ok()) {
      PHAROS_LOG(kWarn, "agent.raft", "%s", std::string(kept.message()));
    }
  }
  if (client_ != nullptr) counters_.messages_dropped = client_->counters().dropped;
}

bool Consensus::IsReadable(ReadMode mode) const {
  if (mode == ReadMode::kStale) return true;
  const uint64_t lease = lease_until_ms_.load(std::memory_order_acquire);
  // Alone there is nobody to ask, whatever the mode.
  return lease == UINT64_MAX || (mode == ReadMode::kDefault && NowMs() < lease);
}

void Consensus::WhenReadable(ReadMode mode, StatusDone done) {
  if (IsReadable(mode)) return done(absl::OkStatus());
  auto shared = std::make_shared<StatusDone>(std::move(done));
  if (!loop_->Post([this, mode, shared] { node_->Read(mode, std::move(*shared)); })) {
    (*shared)(absl::UnavailableError("the agent is stopping"));
  }
}

absl::Duration Consensus::last_contact() const {
  if (is_leader()) return absl::ZeroDuration();
  const uint64_t heard = heard_leader_ms_.load(std::memory_order_relaxed);
  return absl::Milliseconds(static_cast<int64_t>(NowMs() - std::min(NowMs(), heard)));
}

ConsensusStatus Consensus::MakeStatus() const {
  ConsensusStatus status;
  const RaftEngine& engine = node_->engine();
  status.is_leader = engine.is_leader();
  if (engine.leader() != 0) {
    status.leader = node_->FindServer(engine.leader()).value_or(peer::v1::Server());
    status.leader.set_raft_id(engine.leader());
  }
  status.term = engine.term();
  status.commit_index = engine.commit_index();
  status.applied_index = engine.last_applied();
  status.last_index = engine.last_index();
  status.snapshot_index = engine.snapshot_index();
  status.state = engine.state();
  status.last_contact = node_->last_contact();
  status.autopilot = node_->autopilot_state();
  status.cluster_id = node_->state_machine().cluster_id();
  status.autopilot_options = node_->autopilot();
  status.autopilot_create_index = node_->state_machine().autopilot().create_index();
  status.autopilot_modify_index = node_->state_machine().autopilot().modify_index();
  return status;
}

void Consensus::WithStatus(View view, std::function<void(ConsensusStatus)> done) {
  loop_->Post([this, view, done = std::move(done)] {
    if (view == View::kOwn) return done(MakeStatus());
    node_->AskAutopilot([this, done](AutopilotState state) {
      ConsensusStatus status = MakeStatus();
      status.autopilot = std::move(state);
      done(std::move(status));
    });
  });
}

ConsensusStatus Consensus::status() {
  ConsensusStatus status;
  loop_->PostAndWait([&] { status = MakeStatus(); });
  return status;
}

void Consensus::ChangeMembership(peer::v1::MembershipRequest request, StatusDone done) {
  loop_->Post([this, request = std::move(request), done = std::move(done)] {
    node_->ChangeMembership(request, done);
  });
}

void Consensus::TakeBackup(std::function<void(absl::StatusOr<Backup>)> done) {
  loop_->Post([this, done = std::move(done)] {
    auto make = node_->MakeImage(absl::ToUnixMillis(clock_.Now()));
    backup_loop_->Post([make = std::move(make), index = node_->state_machine().last_index(), done] {
      done(Backup{.index = index, .parts = make()});
    });
  });
}

void Consensus::RestoreBackup(std::string image, StatusDone done) {
  auto shared = std::make_shared<const std::string>(std::move(image));
  backup_loop_->Post([this, shared, done = std::move(done)] {
    const auto checked = StateMachine::Check(AsOctets(*shared));
    if (!checked.ok()) return done(checked.status());
    RestorePart(shared, NewUuid(), 0, done);
  });
}

// One part after the other; the last makes the whole effective.
void Consensus::RestorePart(std::shared_ptr<const std::string> image, std::string id, size_t offset,
                            StatusDone done) {
  log::v1::Entry entry;
  log::v1::RestorePart& part = *entry.mutable_restore();
  const size_t octets = std::min(kRestorePartOctets, image->size() - offset);
  part.set_id(id);
  part.set_number(static_cast<uint32_t>(offset / kRestorePartOctets));
  part.set_data(image->data() + offset, octets);
  part.set_last(offset + octets == image->size());
  const bool last = part.last();
  ProposeEntry(std::move(entry),
               [this, image = std::move(image), id = std::move(id), next = offset + octets, last,
                done = std::move(done)](const absl::StatusOr<uint64_t>& outcome) {
                 if (!outcome.ok() || last) return done(outcome.status());
                 RestorePart(image, id, next, done);
               });
}

void Consensus::ProposeEntry(log::v1::Entry entry, Done done) {
  auto shared = std::make_shared<log::v1::Entry>(std::move(entry));
  loop_->Post([this, shared, done = std::move(done)] {
    node_->Propose({.command = {}, .entry = std::move(*shared), .done = done});
  });
}

void Consensus::SetAutopilot(const AutopilotOptions& options, std::optional<uint64_t> check_index,
                             StatusDone done) {
  log::v1::Entry entry;
  log::v1::SetAutopilot& change = *entry.mutable_set_autopilot();
  *change.mutable_autopilot() = ToProto(options);
  change.set_check(check_index.has_value());
  change.set_check_index(check_index.value_or(0));
  ProposeEntry(std::move(entry), [done = std::move(done)](const absl::StatusOr<uint64_t>& outcome) {
    done(outcome.status());
  });
}

absl::Status Consensus::Leave(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  absl::Status outcome = absl::UnavailableError("No cluster leader");
  while (absl::Now() < deadline) {
    // What to do next, asked again until nothing is left.
    enum class Next { kNothing, kWait, kTransfer, kRemove } next = Next::kNothing;
    loop_->PostAndWait([&] {
      leaving_ = true;
      const Joining::Own own = OwnState();
      const RaftEngine& engine = node_->engine();
      if (!own.is_member || engine.configuration().size() < 2) return;
      next = engine.is_leader() ? Next::kTransfer : own.leader != 0 ? Next::kRemove : Next::kWait;
    });
    if (next == Next::kNothing) return absl::OkStatus();
    if (next == Next::kWait) {
      absl::SleepFor(absl::Milliseconds(50));
      continue;
    }
    peer::v1::MembershipRequest request;
    if (next == Next::kTransfer) {
      request.set_transfer_to(0);
    } else {
      request.set_remove(raft_id_);
    }
    std::latch finished(1);
    ChangeMembership(std::move(request), [&](const absl::Status& status) {
      outcome = status;
      finished.count_down();
    });
    finished.wait();
    // The removal of a server is not told to it: it hears of nothing any more.
    if (next == Next::kRemove && outcome.ok()) return outcome;
    if (!outcome.ok()) absl::SleepFor(absl::Milliseconds(100));
  }
  return outcome;
}

void Consensus::Learn(const peer::v1::Server& server, bool alive) {
  loop_->Post([this, server, alive] {
    if (server.raft_id() != 0) return node_->Learn(server, alive);
    // Gossip knows only where it is. Who is there says so itself, and is then asked like all
    // others.
    const std::vector<peer::v1::Server> known = node_->known_servers();
    const bool is_known = std::any_of(known.begin(), known.end(), [&](const auto& each) {
      return each.address() == server.address();
    });
    if (!alive || is_known || client_ == nullptr || leaving_) return;
    peer::v1::IntroduceRequest request;
    *request.mutable_from() = node_->self();
    request.set_cluster_id(OwnState().cluster_id);
    client_->Introduce(server.address(), std::move(request),
                       [this](const absl::StatusOr<peer::v1::IntroduceResponse>& answer) {
                         if (!answer.ok()) return;
                         loop_->Post([this, answer = *answer] {
                           const std::string ours = OwnState().cluster_id;
                           const bool fits = answer.cluster_id().empty() || ours.empty() ||
                                             answer.cluster_id() == ours;
                           if (fits && answer.self().raft_id() != raft_id_) {
                             node_->Learn(answer.self(), true);
                           }
                         });
                       });
  });
}

int Consensus::Subscribe(Observer observer) {
  int subscription = 0;
  loop_->PostAndWait([&] {
    subscription = next_subscription_++;
    observers_.emplace(subscription, std::move(observer));
  });
  return subscription;
}

void Consensus::Unsubscribe(int subscription) {
  loop_->PostAndWait([&] { observers_.erase(subscription); });
}

bool Consensus::SendTo(uint64_t to, peer::v1::Message message) {
  const std::optional<peer::v1::Server> server = node_->FindServer(to);
  if (client_ == nullptr || !server || server->address().empty()) return false;
  return client_->Send(to, server->address(), std::move(message));
}

bool Consensus::Reaches(uint64_t to) {
  const std::optional<peer::v1::Server> server = node_->FindServer(to);
  if (client_ == nullptr || !server || server->address().empty()) return false;
  return client_->Reaches(to, server->address());
}

void Consensus::SendSnapshotTo(uint64_t to, peer::v1::InstallSnapshot info,
                               std::shared_ptr<const RaftBuffer> data) {
  const auto sent = [this, to] { loop_->Post([this, to] { node_->SnapshotSent(to); }); };
  const std::optional<peer::v1::Server> server = node_->FindServer(to);
  if (client_ == nullptr || !server || server->address().empty()) return sent();
  PHAROS_LOG(kInfo, "agent.server", "Sending a snapshot: server=%s octets=%d", server->name(),
             data->size());
  client_->SendSnapshot(to, server->address(), std::move(info), std::move(data), sent);
}

absl::Status Consensus::OnPeer(const peer::v1::Server& from, uint64_t to,
                               const std::string& cluster_id) {
  if (options_.alone) {
    return absl::FailedPreconditionError("this server is a cluster by itself");
  }
  if (to != raft_id_) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "this server has the Raft id %d; the one that was meant has %d", raft_id_, to));
  }
  if (from.datacenter() != options_.datacenter) {
    return absl::FailedPreconditionError(
        absl::StrFormat("this server is of the datacenter \"%s\", the other of \"%s\"",
                        options_.datacenter, from.datacenter()));
  }
  std::string ours;
  {
    const std::lock_guard lock(mutex_);
    ours = cluster_id_;
  }
  absl::Status known;
  if (cluster_id.empty()) {
    known = absl::FailedPreconditionError("a server of no cluster has nothing to say");
  } else if (ours.empty()) {
    loop_->PostAndWait([&] { known = AdoptCluster(cluster_id); });
  } else if (cluster_id != ours) {
    known = absl::FailedPreconditionError(
        absl::StrFormat("this server is of the cluster %s, the other of %s", ours, cluster_id));
  }
  if (!known.ok()) {
    PHAROS_LOG(kWarn, "agent.server", "Refused a server: server=%s address=%s: %s", from.name(),
               from.address(), std::string(known.message()));
    return known;
  }
  loop_->Post([this, from] { node_->Learn(from, true); });
  return absl::OkStatus();
}

absl::Status Consensus::AdoptCluster(const std::string& cluster_id) {
  if (directory_ == nullptr)
    return absl::FailedPreconditionError("this server is a cluster by itself");
  RETURN_IF_ERROR(directory_->SetClusterId(cluster_id));
  OnClusterId(cluster_id);
  if (engine_started_) return absl::OkStatus();
  return StartEngine(false);
}

void Consensus::OnMessages(uint64_t from, peer::v1::Envelope envelope) {
  const size_t octets = envelope.ByteSizeLong();
  const std::lock_guard lock(mutex_);
  // As a network would: what was lost is sent again.
  if (inbox_octets_ + octets > kInboxOctetsMax && !inbox_.empty()) {
    ++counters_.inbox_dropped;
    return;
  }
  inbox_octets_ += octets;
  const bool wake = inbox_.empty();
  inbox_.push_back({from, std::move(envelope)});
  if (wake) loop_->Post([this] { ReadInbox(); });
}

void Consensus::ReadInbox() {
  std::vector<Received> inbox;
  {
    const std::lock_guard lock(mutex_);
    inbox.swap(inbox_);
    inbox_octets_ = 0;
  }
  for (Received& received : inbox) {
    for (peer::v1::Message& message : *received.envelope.mutable_messages()) {
      node_->Receive(received.from, std::move(message));
    }
  }
}

void Consensus::OnSnapshot(uint64_t from, peer::v1::InstallSnapshot info, RaftBuffer data,
                           std::function<void(absl::Status)> done) {
  auto shared = std::make_shared<RaftBuffer>(std::move(data));
  const bool posted = loop_->Post([this, from, info = std::move(info), shared, done] {
    PHAROS_LOG(kInfo, "agent.server", "Received a snapshot: index=%d octets=%d", info.last_index(),
               shared->size());
    done(node_->ReceiveSnapshot(from, info, std::move(*shared))
             ? absl::OkStatus()
             : absl::UnavailableError("the server takes a snapshot of its own"));
  });
  if (!posted) done(absl::UnavailableError("the agent is stopping"));
}

void Consensus::OnIntroduce(peer::v1::IntroduceRequest request,
                            std::function<void(peer::v1::IntroduceResponse)> done) {
  if (options_.alone) return done({});
  const bool posted = loop_->Post([this, request = std::move(request), done] {
    const Joining::Own own = OwnState();
    const bool fits = request.cluster_id().empty() || own.cluster_id.empty() ||
                      request.cluster_id() == own.cluster_id;
    const bool here = request.from().datacenter() == options_.datacenter;
    if (fits && here && request.from().raft_id() != raft_id_) node_->Learn(request.from(), true);
    done(joining_->Answer(NowMs(), own, request));
  });
  if (!posted) done({});
}

// Snapshots are the only such work, and there is one at a time: the thread before has ended.
void Consensus::RunElsewhere(std::function<void()> work, std::function<void()> done) {
  if (elsewhere_.joinable()) elsewhere_.join();
  elsewhere_ = std::thread([this, work = std::move(work), done = std::move(done)] {
    pthread_setname_np(pthread_self(), "raft-snapshot");
    work();
    loop_->Post(done);
  });
}

void Consensus::OnPublished(const registry::Changes& changes) {
  ++counters_.publications;
  if (stream_ != nullptr) {
    const bool watched = parts_->OnChanges(changes);
    if (watched || stream_->counters().followers > 0) WakeFollowers();
  }
  for (const auto& [subscription, observer] : observers_) observer(changes);
}

void Consensus::OnClusterId(const std::string& cluster_id) {
  if (stream_ != nullptr) stream_->SetClusterId(cluster_id);
  if (directory_ == nullptr) return;
  {
    const std::lock_guard lock(mutex_);
    cluster_id_ = cluster_id;
  }
  if (client_ != nullptr) client_->SetClusterId(cluster_id);
  if (const absl::Status kept = directory_->SetClusterId(cluster_id); !kept.ok()) {
    OnFatal(std::string(kept.message()));
  }
}

std::string Consensus::NewClusterId() { return NewUuid(); }

void Consensus::OnFatal(const std::string& why) {
  PHAROS_LOG(kError, "agent.raft", "This server stops at once, so as to do no harm: %s", why);
  std::cerr << "==> " << why << std::endl;
  // No destructor may run: what they would write is what must not be written.
  _exit(1);
}

}  // namespace pharos::cluster
