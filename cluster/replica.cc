#include "cluster/replica.h"

#include <grpcpp/grpcpp.h>
#include <malloc.h>
#include <sys/stat.h>
#include <uv.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "base/file.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "cluster/edge.h"
#include "cluster/image_file.h"
#include "registry/command.h"
// What gRPC generates hides functions of its own.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverloaded-virtual"
#include "proto/peer.grpc.pb.h"
#pragma GCC diagnostic pop

namespace pharos::cluster {
namespace {

constexpr absl::Duration kTick = absl::Milliseconds(50);
constexpr uint64_t kBetterMs = 10'000;  // How often a better server is looked for.
constexpr uint64_t kStampMs = 10'000;   // How often the copy's file says that it is still fresh.
constexpr uint64_t kCallSlackMs = 1'000;

absl::Status NoLeader() { return absl::UnavailableError("No cluster leader"); }
absl::Status Stopping() { return absl::UnavailableError("the agent is stopping"); }
absl::Status NoServer() {
  return absl::FailedPreconditionError(
      "this agent is in client mode; ask a server for what only servers do");
}

absl::Status FromProto(const peer::v1::Status& status) {
  return {static_cast<absl::StatusCode>(status.code()), status.message()};
}

void SetDeadline(grpc::ClientContext& context, uint64_t deadline_ms) {
  const uint64_t now = NowMs();
  const uint64_t left = deadline_ms > now ? deadline_ms - now : 0;
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::milliseconds(left + kCallSlackMs));
}

// After an image was read or written, which took as much as the catalog for a while.
void GiveMemoryBack() { malloc_trim(0); }

// The copy's file is as old as what is in it may be taken to be.
absl::StatusOr<absl::Time> ReadStamp(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return absl::NotFoundError(path);
  return absl::TimeFromTimespec(status.st_mtim);
}

void WriteStamp(const std::string& path, absl::Time time) {
  const timespec both[2] = {absl::ToTimespec(time), absl::ToTimespec(time)};
  if (utimensat(AT_FDCWD, path.c_str(), both, 0) != 0) {
    PHAROS_LOG(kDebug, "agent.client", "The time of %s cannot be set", path);
  }
}

}  // namespace

// A server, and the connection to it.
struct Replica::Remote {
  std::string address;
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<peer::v1::CatalogServer::Stub> stub;
};

// The stream of one server. The next message is not read before the one before was taken, so that
// a server that sends faster than it is taken has to wait.
struct Replica::Stream : grpc::ClientReadReactor<peer::v1::FollowResponse> {
  Stream(Replica& of, uint64_t stream_number) : replica(of), number(stream_number) {}

  // Reads begin outside of its reactions, too, and until that is over it must not end.
  void Begin(peer::v1::CatalogServer::Stub& stub) {
    stub.async()->Follow(context.get(), &request, this);
    AddHold();
    StartRead(&response);
    StartCall();
  }
  void OnReadDone(bool ok) override {
    const bool posted = ok && replica.loop_->Post([this] {
      replica.OnResponse(number, response);
      response.Clear();
      StartRead(&response);
    });
    if (!posted) RemoveHold();
  }
  void OnDone(const grpc::Status& status) override {
    replica.loop_->Post([&replica = replica, number = number, why = FromGrpc(status)] {
      replica.OnStreamEnded(number, why);
    });
    replica.calls_.End(context.get());
    delete this;
  }

  Replica& replica;
  const uint64_t number;
  // Shared with whoever may cancel it, who cannot know that it has just ended.
  const std::shared_ptr<grpc::ClientContext> context = std::make_shared<grpc::ClientContext>();
  peer::v1::FollowRequest request;
  peer::v1::FollowResponse response;
};

absl::StatusOr<std::unique_ptr<Replica>> Replica::Start(ReplicaOptions options,
                                                        const Clock& clock) {
  std::unique_ptr<Replica> replica(new Replica(std::move(options), clock));
  RETURN_IF_ERROR(replica->Open());
  return replica;
}

Replica::Replica(ReplicaOptions options, const Clock& clock)
    : options_(std::move(options)),
      clock_(clock),
      started_ms_(NowMs()),
      follower_(std::make_unique<CatalogFollower>(options_.datacenter, options_.node_name)),
      choice_(options_.node_name, options_.join,
              started_ms_ + static_cast<uint64_t>(absl::ToInt64Milliseconds(options_.join_after))),
      cut_off_ms_(started_ms_ +
                  static_cast<uint64_t>(absl::ToInt64Milliseconds(options_.join_after))),
      keep_loop_(std::make_unique<Loop>("replica-keep")),
      loop_(std::make_unique<Loop>("replica")) {}

absl::Status Replica::Open() {
  RETURN_IF_ERROR(PeerChannelCredentials(options_.tls).status());
  if (!options_.data_dir.empty() && !options_.pulses_only) {
    const std::string folder = options_.data_dir + "/replica";
    RETURN_IF_ERROR(CreateDirectories(folder));
    kept_path_ = folder + "/catalog";
  }
  loop_->PostAndWait([this] {
    if (!kept_path_.empty()) LoadKept();
    ticker_ = std::make_unique<LoopTimer>(loop_->uv());
    ticker_->Every(kTick, [this] { Tick(); });
    Tick();
  });
  return absl::OkStatus();
}

void Replica::LoadKept() {
  const absl::StatusOr<absl::Time> stamp = ReadStamp(kept_path_);
  if (!stamp.ok()) return;
  absl::StatusOr<std::string> image = ReadFile(kept_path_, CatalogFollower::kImageOctetsMax);
  const absl::Status loaded = image.ok() ? follower_->Load(AsOctets(*image)) : image.status();
  image = std::string();
  if (!loaded.ok()) {
    PHAROS_LOG(kWarn, "agent.client", "The kept copy of the catalog in %s is not used: %s",
               kept_path_, std::string(loaded.message()));
    return;
  }
  fresh_at_ = *stamp;
  kept_index_ = follower_->index();
  replica_counters_.has_catalog = 1;
  PHAROS_LOG(kInfo, "agent.client", "Loaded the kept copy of the catalog: index=%d age=%s",
             follower_->index(), absl::FormatDuration(clock_.Now() - fresh_at_));
  Publish();
  GiveMemoryBack();
}

Replica::~Replica() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  loop_->PostAndWait([this] {
    closing_ = true;
    ticker_.reset();
    Drain();
    if (stream_ != nullptr) stream_context_->TryCancel();
  });
  // Its calls need the loop to end.
  calls_.Stop();
  loop_->PostAndWait([this] {
    for (Queued& queued : std::exchange(waiting_, {})) {
      queued.done(absl::UnavailableError("the agent is stopping; nothing was changed"));
    }
    for (Outcome& outcome : std::exchange(outcomes_, {})) outcome.done(outcome.index);
    for (auto* const reads : {&reads_, &applying_reads_}) {
      for (WaitingRead& read : std::exchange(*reads, {})) read.done(Stopping());
    }
    observers_.clear();
    Keep(true);
  });
  keep_loop_->Stop();
  loop_->Stop();
}

void Replica::OnServer(const std::string& address, bool alive) {
  loop_->Post([this, address, alive] {
    choice_.SetAlive(address, alive, NowMs());
    Settle();
  });
}

void Replica::OnServerGone(const std::string& address) {
  loop_->Post([this, address] { choice_.Forget(address); });
}

void Replica::SetOnFollowing(std::function<void()> on_following) {
  loop_->PostAndWait([&] {
    on_following_ = std::move(on_following);
    if (following_ && on_following_) on_following_();
  });
}

void Replica::SetApplyHere(std::function<void(const catalog::v1::Command&)> apply_here) {
  loop_->PostAndWait([&] { apply_here_ = std::move(apply_here); });
}

void Replica::Tick() {
  const uint64_t now = NowMs();
  if (stream_ != nullptr && now - heard_ms_ > kSilentMs) {
    PHAROS_LOG(kWarn, "agent.client", "The server at %s is silent; another is looked for",
               remote_->address);
    choice_.OnFailed(remote_->address, now);
    ++replica_counters_.failures;
    LeaveServer();
  }
  if (is_following() && now - leader_heard_ms_ > kLeaderlessMaxMs) {
    PHAROS_LOG(kWarn, "agent.client", "The server at %s knows no leader; another is looked for",
               remote_->address);
    choice_.OnFailed(remote_->address, now);
    ++replica_counters_.failures;
    LeaveServer();
  }
  if (is_following() && now - better_asked_ms_ > kBetterMs) {
    better_asked_ms_ = now;
    if (const auto better = choice_.Better(remote_->address, now)) {
      PHAROS_LOG(kInfo, "agent.client", "Following another server, for an even spread: address=%s",
                 *better);
      LeaveServer();
      Follow(*better);
    }
  }
  Expire();
  SetFreshness();
  Settle();
  Keep(false);
}

void Replica::Settle() {
  if (stream_ == nullptr && !closing_) {
    if (const auto address = choice_.Pick(NowMs())) Follow(*address);
  }
  if (follower_->has_unpublished()) Publish();
  AnswerVisible();
  PumpWrites();
  PumpReads();
}

// Following -------------------------------------------------------------------------------------

void Replica::Follow(const std::string& address) {
  if (remote_ == nullptr || remote_->address != address) {
    auto credentials = PeerChannelCredentials(options_.tls);
    if (!credentials.ok()) {
      PHAROS_LOG(kError, "agent.client", "No server can be followed: %s",
                 std::string(credentials.status().message()));
      choice_.OnFailed(address, NowMs());
      return;
    }
    remote_ = std::make_shared<Remote>();
    remote_->address = address;
    remote_->channel = MakePeerChannel(address, *credentials, "catalog");
    remote_->stub = peer::v1::CatalogServer::NewStub(remote_->channel);
  }
  ++replica_counters_.moves;
  heard_from_stream_ = false;
  heard_ms_ = leader_heard_ms_ = NowMs();
  stream_ = new Stream(*this, ++streams_);
  stream_->request = follower_->Begin();
  stream_->request.set_pulses_only(options_.pulses_only);
  if (!calls_.Begin(stream_->context.get())) {
    delete std::exchange(stream_, nullptr);
    return;
  }
  stream_context_ = stream_->context;
  stream_->Begin(*remote_->stub);
}

// What comes from the stream after this belongs to no number any more.
void Replica::LeaveServer() {
  stream_context_->TryCancel();
  ++streams_;
  OnNoServer();
}

std::vector<std::string> Replica::Datacenters() const {
  const std::lock_guard lock(mutex_);
  return datacenters_.empty() ? std::vector<std::string>{options_.datacenter} : datacenters_;
}

bool Replica::IsComplete() const {
  const std::lock_guard lock(mutex_);
  return complete_;
}

std::optional<std::string> Replica::PathTo(const std::string&) {
  const std::lock_guard lock(mutex_);
  if (followed_.empty()) return std::nullopt;
  return followed_;
}

void Replica::OnNoServer() {
  {
    const std::lock_guard lock(mutex_);
    followed_.clear();
  }
  stream_ = nullptr;
  has_leader_ = false;
  replica_counters_.connected = 0;
  if (std::exchange(following_, false)) cut_off_ms_ = NowMs();
}

void Replica::OnResponse(uint64_t number, const peer::v1::FollowResponse& response) {
  if (number != streams_ || closing_) return;
  const uint64_t now = NowMs();
  heard_ms_ = now;
  if (!std::exchange(heard_from_stream_, true)) {
    PHAROS_LOG(kInfo, "agent.client", "Following the catalog of a server: address=%s",
               remote_->address);
  }
  if (const absl::Status taken = follower_->Take(response); !taken.ok()) {
    PHAROS_LOG(kError, "agent.client", "What the server at %s sends cannot be taken: %s",
               remote_->address, std::string(taken.message()));
    choice_.OnFailed(remote_->address, now);
    ++replica_counters_.failures;
    LeaveServer();
    return Settle();
  }
  // Reading an image takes a while.
  heard_ms_ = NowMs();
  choice_.OnGood(remote_->address);
  replica_counters_.connected = 1;
  const uint64_t images = follower_->counters().images;
  const bool took_image = replica_counters_.images.exchange(images) < images;
  replica_counters_.changes = follower_->counters().changes;
  replica_counters_.octets = follower_->counters().octets;
  replica_counters_.index = follower_->index();
  if (response.has_pulse()) {
    const peer::v1::Pulse& pulse = response.pulse();
    std::vector<std::string> servers = {remote_->address};
    for (const peer::v1::Server& server : pulse.servers()) servers.push_back(server.address());
    choice_.SetKnown(servers, now);
    const std::lock_guard lock(mutex_);
    datacenters_.assign(pulse.datacenters().begin(), pulse.datacenters().end());
    complete_ = pulse.complete();
    followed_ = remote_->address;
    const auto ago = static_cast<uint64_t>(std::max<int64_t>(pulse.last_contact_ms(), 0));
    contact_ms_ = now - std::min(now, ago);
    if (pulse.leader().raft_id() != 0 && ago < kLeaderlessMs) leader_heard_ms_ = now;
  }
  const bool has_catalog = follower_->has_catalog() || options_.pulses_only;
  const bool is_led = now - leader_heard_ms_ < kLeaderlessMs;
  if (!is_led && std::exchange(following_, false)) cut_off_ms_ = now;
  const bool in_step = is_led && has_catalog && !follower_->has_changes_here() &&
                       HasSeen(follower_->pulse().index());
  has_leader_ = has_catalog && follower_->pulse().leader().raft_id() != 0;
  if (in_step) {
    replica_counters_.has_catalog = 1;
    fresh_at_ = clock_.Now();
  }
  const bool begins = in_step && !std::exchange(following_, true);
  SetFreshness();
  Settle();
  if (took_image) GiveMemoryBack();
  if (begins && on_following_) on_following_();
}

void Replica::OnStreamEnded(uint64_t number, const absl::Status& why) {
  if (number != streams_) return;
  OnNoServer();
  if (closing_) return;
  ++replica_counters_.failures;
  choice_.OnFailed(remote_->address, NowMs());
  WriteLog(heard_from_stream_ ? LogLevel::kWarn : LogLevel::kDebug, "agent.client",
           absl::StrFormat("The server at %s is not followed any more: %s", remote_->address,
                           std::string(why.message())));
  Settle();
}

void Replica::Publish() {
  const registry::Changes& changes = follower_->Publish();
  ++counters_.publications;
  replica_counters_.index = follower_->index();
  for (const auto& [subscription, observer] : observers_) observer(changes);
}

void Replica::SetFreshness() {
  using registry::Freshness;
  const uint64_t now = NowMs();
  // Without any catalog, its index says so.
  Freshness freshness = Freshness::kFresh;
  const bool moving = following_ || (fresh_at_ != absl::InfinitePast() && heard_ms_ > 0 &&
                                     contact_ms_ > 0 && now - contact_ms_ < kMoveMs);
  if (follower_->has_catalog() && !moving) {
    freshness =
        clock_.Now() - fresh_at_ > options_.max_stale ? Freshness::kExpired : Freshness::kStale;
  }
  const Freshness before = freshness_.exchange(freshness, std::memory_order_relaxed);
  if (before == freshness) return;
  if (freshness == Freshness::kFresh) {
    PHAROS_LOG(kInfo, "agent.client", "The catalog is as new as the servers' again");
  } else {
    PHAROS_LOG(kWarn, "agent.client", "No server can be followed; the catalog is %s old and %s",
               absl::FormatDuration(clock_.Now() - fresh_at_),
               freshness == Freshness::kStale ? "goes on being served"
                                              : "is not served any more (dns_config.max_stale)");
  }
}

// Changes ---------------------------------------------------------------------------------------

void Replica::Propose(catalog::v1::Command command, Done done) {
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
      ++counters_.proposals;
      outstanding_.fetch_add(1, std::memory_order_relaxed);
      const bool wake = queue_.empty();
      const auto hold = static_cast<uint64_t>(absl::ToInt64Milliseconds(options_.hold));
      queue_.push_back({.command = std::move(command),
                        .done =
                            [this, done = std::move(done)](absl::StatusOr<uint64_t> outcome) {
                              outstanding_.fetch_sub(1, std::memory_order_relaxed);
                              done(std::move(outcome));
                            },
                        .proposed_ns = uv_hrtime(),
                        .deadline_ms = NowMs() + hold});
      if (wake) {
        loop_->Post([this] {
          Drain();
          Settle();
        });
      }
      return;
    }
  }
  done(refused);
}

void Replica::Drain() {
  std::vector<Queued> batch;
  {
    const std::lock_guard lock(mutex_);
    batch.swap(queue_);
  }
  for (Queued& queued : batch) waiting_.push_back(std::move(queued));
}

bool Replica::IsOwn(const catalog::v1::Command& command) const {
  if (command.has_batch()) {
    return std::all_of(command.batch().commands().begin(), command.batch().commands().end(),
                       [this](const catalog::v1::Command& each) { return IsOwn(each); });
  }
  const std::string& node =
      command.has_register_() ? command.register_().node().name() : command.deregister().node();
  return !node.empty() && absl::EqualsIgnoreCase(node, options_.node_name);
}

// What is known of this agent's own node, nobody knows better.
void Replica::ApplyHere(Queued& queued) {
  const bool can = options_.pulses_only ? apply_here_ != nullptr : follower_->has_catalog();
  if (queued.applied_here || !can || !IsOwn(queued.command)) return;
  queued.applied_here = true;
  if (options_.pulses_only) {
    ++replica_counters_.local_changes;
    return apply_here_(queued.command);
  }
  if (const absl::Status applied = follower_->ApplyHere(queued.command); !applied.ok()) {
    PHAROS_LOG(kDebug, "agent.client", "A change is not seen here before a server takes it: %s",
               std::string(applied.message()));
    return;
  }
  ++replica_counters_.local_changes;
}

void Replica::PumpWrites() {
  while (!waiting_.empty() && is_following() && has_leader_ && writes_ < kWritesMax) {
    struct Call {
      std::shared_ptr<Remote> remote;
      grpc::ClientContext context;
      peer::v1::WriteRequest request;
      peer::v1::WriteResult result;
      std::vector<Queued> batch;
    };
    auto call = std::make_shared<Call>();
    call->remote = remote_;
    size_t octets = 0;
    uint64_t deadline_ms = 0;
    while (!waiting_.empty() && call->batch.size() < kWriteCommandsMax) {
      octets += waiting_.front().command.ByteSizeLong();
      if (!call->batch.empty() && octets > kWriteOctetsMax) break;
      *call->request.add_commands() = waiting_.front().command;
      deadline_ms = std::max(deadline_ms, waiting_.front().deadline_ms);
      call->batch.push_back(std::move(waiting_.front()));
      waiting_.pop_front();
    }
    if (!calls_.Begin(&call->context)) {
      for (Queued& queued : call->batch) waiting_.push_back(std::move(queued));
      return;
    }
    replica_counters_.forwarded += call->batch.size();
    ++writes_;
    SetDeadline(call->context, deadline_ms);
    call->remote->stub->async()->Write(
        &call->context, &call->request, &call->result, [this, call](const grpc::Status& status) {
          loop_->Post([this, call, status = FromGrpc(status)] {
            --writes_;
            if (status.ok()) {
              OnWritten(std::move(call->batch), std::move(call->result));
            } else {
              OnWritten(std::move(call->batch), status);
            }
            Settle();
          });
          calls_.End(&call->context);
        });
  }
}

void Replica::OnWritten(std::vector<Queued> batch,
                        const absl::StatusOr<peer::v1::WriteResult>& result) {
  const uint64_t now = NowMs();
  std::deque<Queued> again;
  for (size_t i = 0; i < batch.size(); ++i) {
    Queued& queued = batch[i];
    if (!result.ok() || i >= static_cast<size_t>(result->outcomes_size())) {
      ++counters_.unknown_outcomes;
      queued.done(absl::UnknownError(
          "the server that was to make the change went away; it may or may not be made"));
      continue;
    }
    const auto& outcome = result->outcomes(static_cast<int>(i));
    const absl::Status status = FromProto(outcome.status());
    if (absl::IsUnavailable(status) && now < queued.deadline_ms) {
      again.push_back(std::move(queued));  // Not done there; until its deadline it may be.
    } else if (!status.ok()) {
      queued.done(status);
    } else {
      outcomes_.push_back({.index = outcome.index(),
                           .deadline_ms = queued.deadline_ms + kCallSlackMs,
                           .proposed_ns = queued.proposed_ns,
                           .done = std::move(queued.done)});
    }
  }
  for (auto queued = again.rbegin(); queued != again.rend(); ++queued) {
    waiting_.push_front(std::move(*queued));
  }
}

void Replica::AnswerVisible() {
  const uint64_t now = NowMs();
  for (Outcome& outcome : std::exchange(outcomes_, {})) {
    // It is made, whether or not this copy gets to see it soon.
    if (HasSeen(outcome.index) || now >= outcome.deadline_ms) {
      counters_.commit.Add(uv_hrtime() - outcome.proposed_ns);
      outcome.done(outcome.index);
    } else {
      outcomes_.push_back(std::move(outcome));
    }
  }
  for (WaitingRead& read : std::exchange(applying_reads_, {})) {
    if (HasSeen(*read.index)) {
      read.done(absl::OkStatus());
    } else {
      applying_reads_.push_back(std::move(read));
    }
  }
}

void Replica::Expire() {
  const uint64_t now = NowMs();
  const bool cut_off = !following_ && now >= cut_off_ms_ + kCutOffMs;
  for (Queued& queued : std::exchange(waiting_, {})) {
    if (cut_off) ApplyHere(queued);
    if (now < queued.deadline_ms) {
      waiting_.push_back(std::move(queued));
    } else {
      queued.done(NoLeader());
    }
  }
  for (auto* const reads : {&reads_, &applying_reads_}) {
    for (WaitingRead& read : std::exchange(*reads, {})) {
      if (now < read.deadline_ms) {
        reads->push_back(std::move(read));
      } else {
        read.done(NoLeader());
      }
    }
  }
}

// Reads -----------------------------------------------------------------------------------------

void Replica::WhenReadable(ReadMode mode, StatusDone done) {
  if (mode == ReadMode::kStale) return done(absl::OkStatus());
  auto shared = std::make_shared<StatusDone>(std::move(done));
  const bool posted = loop_->Post([this, mode, shared] {
    if (closing_) return (*shared)(Stopping());
    if (reads_.size() + applying_reads_.size() >= kReadsMax) {
      return (*shared)(absl::ResourceExhaustedError("too many reads are waiting; try again"));
    }
    const auto hold = static_cast<uint64_t>(absl::ToInt64Milliseconds(options_.hold));
    reads_.push_back({.mode = mode,
                      .deadline_ms = NowMs() + hold,
                      .index = std::nullopt,
                      .done = std::move(*shared)});
    Settle();
  });
  if (!posted) (*shared)(Stopping());
}

// All that wait now are asked for by one request for each mode; those that come meanwhile share the
// next.
void Replica::PumpReads() {
  if (!is_following()) return;
  for (const ReadMode mode : {ReadMode::kDefault, ReadMode::kConsistent}) {
    const bool consistent = mode == ReadMode::kConsistent;
    if (asking_[consistent]) continue;
    struct Call {
      std::shared_ptr<Remote> remote;
      grpc::ClientContext context;
      peer::v1::ReadIndexRequest request;
      peer::v1::ReadIndexResult result;
      std::vector<WaitingRead> reads;
    };
    auto call = std::make_shared<Call>();
    uint64_t deadline_ms = 0;
    for (WaitingRead& read : std::exchange(reads_, {})) {
      if (read.mode != mode) {
        reads_.push_back(std::move(read));
        continue;
      }
      deadline_ms = std::max(deadline_ms, read.deadline_ms);
      call->reads.push_back(std::move(read));
    }
    if (call->reads.empty()) continue;
    if (!calls_.Begin(&call->context)) {
      for (WaitingRead& read : call->reads) reads_.push_back(std::move(read));
      return;
    }
    call->remote = remote_;
    call->request.set_consistent(consistent);
    SetDeadline(call->context, deadline_ms);
    asking_[consistent] = true;
    ++replica_counters_.reads_asked;
    call->remote->stub->async()->ReadIndex(
        &call->context, &call->request, &call->result,
        [this, call, consistent](const grpc::Status& status) {
          loop_->Post([this, call, consistent, status = FromGrpc(status)] {
            asking_[consistent] = false;
            if (status.ok()) {
              OnReadIndex(std::move(call->reads), std::move(call->result));
            } else {
              OnReadIndex(std::move(call->reads), status);
            }
            // What failed is tried again by the next tick.
            AnswerVisible();
          });
          calls_.End(&call->context);
        });
  }
}

void Replica::OnReadIndex(std::vector<WaitingRead> reads,
                          const absl::StatusOr<peer::v1::ReadIndexResult>& result) {
  const absl::Status status = result.ok() ? FromProto(result->status()) : result.status();
  for (WaitingRead& read : reads) {
    if (status.ok()) {
      read.index = result->index();
      applying_reads_.push_back(std::move(read));
    } else {
      reads_.push_back(std::move(read));
    }
  }
}

absl::Duration Replica::last_contact() const {
  const uint64_t now = NowMs();
  const uint64_t contact = contact_ms_.load(std::memory_order_relaxed);
  return absl::Milliseconds(
      static_cast<int64_t>(now - std::min(now, contact == 0 ? started_ms_ : contact)));
}

// The copy on disk ------------------------------------------------------------------------------

void Replica::Keep(bool last) {
  if (kept_path_.empty() || keeping_ || !follower_->has_catalog()) return;
  const uint64_t now = NowMs();
  if (follower_->index() == kept_index_ || follower_->has_changes_here()) {
    // The same catalog; only that it is still the newest is to be kept.
    if (!last && now - stamped_ms_ < kStampMs) return;
    stamped_ms_ = now;
    if (follower_->index() == kept_index_) WriteStamp(kept_path_, fresh_at_);
    return;
  }
  if (!last && now - kept_ms_ < kKeepMs) return;
  keeping_ = true;
  kept_ms_ = stamped_ms_ = now;
  keep_loop_->Post([this, index = follower_->index(), time = fresh_at_,
                    make = follower_->TakeImage(absl::ToUnixMillis(fresh_at_))] {
    std::string image;
    for (std::string& part : make()) {
      image += part;
      std::string().swap(part);
    }
    const absl::Status kept = ReplaceFile(kept_path_, image);
    if (kept.ok()) {
      WriteStamp(kept_path_, time);
      ++replica_counters_.kept;
      replica_counters_.kept_octets = image.size();
    } else {
      ++replica_counters_.keep_failures;
      PHAROS_LOG(kWarn, "agent.client", "The copy of the catalog is not kept: %s",
                 std::string(kept.message()));
    }
    std::string().swap(image);
    GiveMemoryBack();
    loop_->Post([this, index, ok = kept.ok()] {
      keeping_ = false;
      if (ok) kept_index_ = index;
    });
  });
}

// The rest of CatalogAccess -----------------------------------------------------------------------

int Replica::Subscribe(Observer observer) {
  int subscription = 0;
  loop_->PostAndWait([&] {
    subscription = next_subscription_++;
    observers_.emplace(subscription, std::move(observer));
  });
  return subscription;
}

void Replica::Unsubscribe(int subscription) {
  loop_->PostAndWait([&] { observers_.erase(subscription); });
}

ConsensusStatus Replica::MakeStatus() const {
  ConsensusStatus status;
  const peer::v1::Pulse& pulse = follower_->pulse();
  if (is_following()) {
    status.leader = pulse.leader();
    for (const peer::v1::Server& server : pulse.servers()) {
      status.autopilot.servers.emplace_back().server = server;
    }
  }
  status.applied_index = status.commit_index = status.last_index = follower_->index();
  status.last_contact = last_contact();
  status.cluster_id = follower_->cluster_id();
  return status;
}

void Replica::WithStatus(View, std::function<void(ConsensusStatus)> done) {
  loop_->Post([this, done = std::move(done)] { done(MakeStatus()); });
}

ConsensusStatus Replica::status() {
  ConsensusStatus status;
  loop_->PostAndWait([&] { status = MakeStatus(); });
  return status;
}

void Replica::TakeBackup(std::function<void(absl::StatusOr<Backup>)> done) {
  keep_loop_->Post([done = std::move(done)] { done(NoServer()); });
}

void Replica::RestoreBackup(std::string, StatusDone done) {
  loop_->Post([done = std::move(done)] { done(NoServer()); });
}

void Replica::SetAutopilot(const AutopilotOptions&, std::optional<uint64_t>, StatusDone done) {
  loop_->Post([done = std::move(done)] { done(NoServer()); });
}

void Replica::ChangeMembership(peer::v1::MembershipRequest, StatusDone done) {
  loop_->Post([done = std::move(done)] { done(NoServer()); });
}

}  // namespace pharos::cluster
