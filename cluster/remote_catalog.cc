#include "cluster/remote_catalog.h"

#include <grpcpp/grpcpp.h>
#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/file.h"
#include "base/log.h"
#include "base/status_macros.h"
#include "cluster/edge.h"
#include "cluster/kept_parts.h"
// What gRPC generates hides functions of its own.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverloaded-virtual"
#include "proto/peer.grpc.pb.h"
#pragma GCC diagnostic pop

namespace pharos::cluster {
namespace {

constexpr absl::Duration kTick = absl::Milliseconds(100);
constexpr uint64_t kRetryMs = 1'000;
constexpr uint64_t kNoPathRetryMs = 50;
constexpr uint64_t kForgetMs = 600'000;
constexpr size_t kKeptOctetsMax = size_t{1} << 30;
// For so long without a word from a datacenter nothing is called stale: another of its servers is
// found in less.
constexpr uint64_t kMoveMs = 3'000;
constexpr int kHttpSeconds = 660;  // Blocking queries wait for 10 min at most.

absl::Status NoPath(const std::string& datacenter) {
  return absl::UnavailableError(
      absl::StrFormat("no server of the datacenter \"%s\" can be reached", datacenter));
}

}  // namespace

struct RemoteCatalog::Server {
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<peer::v1::CatalogServer::Stub> stub;
};

// As Replica::Stream: what was read is taken before more is.
struct RemoteCatalog::Stream : grpc::ClientReadReactor<peer::v1::WatchResponse> {
  void Begin() {
    server->stub->async()->Watch(context.get(), &request, this);
    AddHold();
    StartRead(&response);
    StartCall();
  }
  void OnReadDone(bool ok) override {
    const bool posted = ok && catalog->loop_->Post([this] {
      catalog->OnResponse(number, request.datacenter(), request.topic(), response);
      response.Clear();
      StartRead(&response);
    });
    if (!posted) RemoveHold();
  }
  void OnDone(const grpc::Status& status) override {
    catalog->loop_->Post([catalog = catalog, number = number, datacenter = request.datacenter(),
                          topic = request.topic(), why = FromGrpc(status)] {
      catalog->OnEnded(number, datacenter, topic, why);
    });
    catalog->calls_.End(context.get());
    delete this;
  }

  RemoteCatalog* catalog;
  uint64_t number;
  std::shared_ptr<Server> server;
  // Shared with whoever may cancel it, who cannot know that it has just ended.
  const std::shared_ptr<grpc::ClientContext> context = std::make_shared<grpc::ClientContext>();
  peer::v1::WatchRequest request;
  peer::v1::WatchResponse response;
};

struct RemoteCatalog::Watcher : PartWatcher {
  ~Watcher() override {
    const std::lock_guard lock(telling->mutex);
    const auto found = telling->told.find({datacenter, topic});
    if (found == telling->told.end()) return;
    found->second.watchers.erase(this);
    if (found->second.watchers.empty() && found->second.response == nullptr) {
      telling->told.erase(found);
    }
  }
  SharedOctets Next() override {
    const std::lock_guard lock(telling->mutex);
    const auto found = telling->told.find({datacenter, topic});
    if (found == telling->told.end() || found->second.version == seen) return nullptr;
    seen = found->second.version;
    return found->second.response;
  }

  std::shared_ptr<Telling> telling;
  std::string datacenter, topic;
  std::function<void()> ready;
  uint64_t seen = 0;
};

absl::StatusOr<std::unique_ptr<RemoteCatalog>> RemoteCatalog::Start(RemoteCatalogOptions options,
                                                                    PathFinder& paths,
                                                                    const Clock& clock) {
  RETURN_IF_ERROR(PeerChannelCredentials(options.tls).status());
  std::unique_ptr<RemoteCatalog> catalog(new RemoteCatalog(std::move(options), paths, clock));
  if (const std::string& folder = catalog->options_.data_dir; !folder.empty()) {
    RETURN_IF_ERROR(CreateDirectories(folder + "/replica"));
    catalog->kept_path_ = folder + "/replica/parts";
  }
  catalog->loop_->PostAndWait([&] {
    catalog->LoadKept();
    catalog->ticker_ = std::make_unique<LoopTimer>(catalog->loop_->uv());
    catalog->ticker_->Every(kTick, [&catalog = *catalog] { catalog.Tick(); });
  });
  return catalog;
}

RemoteCatalog::RemoteCatalog(RemoteCatalogOptions options, PathFinder& paths, const Clock& clock)
    : options_(std::move(options)),
      paths_(paths),
      clock_(clock),
      published_(std::make_unique<registry::RemoteCatalogs>()),
      own_published_(std::make_unique<registry::Snapshot>()),
      started_ms_(NowMs()),
      keep_loop_(std::make_unique<Loop>("remote-keep")),
      loop_(std::make_unique<Loop>("remote")) {}

RemoteCatalog::~RemoteCatalog() {
  loop_->PostAndWait([this] {
    closing_ = true;
    ticker_.reset();
    for (auto& [name, datacenter] : datacenters_) {
      for (auto& [topic, part] : datacenter.parts) {
        for (const Waiter& waiter : std::exchange(part.waiters, {})) {
          waiter.done(absl::UnavailableError("the agent is stopping"));
        }
      }
    }
  });
  // Its calls need the loop to end.
  calls_.Stop();
  loop_->PostAndWait([this] {
    Keep(true);
    observers_.clear();
    published_.Publish(std::make_unique<registry::RemoteCatalogs>());
    datacenters_.clear();
  });
  keep_loop_->Stop();
  loop_->Stop();
}

std::shared_ptr<RemoteCatalog::Server> RemoteCatalog::ServerAt(const std::string& address) {
  const std::lock_guard lock(mutex_);
  std::shared_ptr<Server>& server = servers_[address];
  if (server == nullptr) {
    auto credentials = PeerChannelCredentials(options_.tls);
    if (!credentials.ok()) return nullptr;
    server = std::make_shared<Server>();
    server->channel = MakePeerChannel(address, *credentials, "remote");
    server->stub = peer::v1::CatalogServer::NewStub(server->channel);
  }
  return server;
}

// What is asked -----------------------------------------------------------------------------------

void RemoteCatalog::Want(const std::string& datacenter, const std::string& topic,
                         const Done& done) {
  ++counters_.wanted;
  const bool posted = loop_->Post([this, datacenter, topic, done] {
    if (closing_) return done(absl::UnavailableError("the agent is stopping"));
    absl::Status why;
    Part* const part = FindOrAdd(datacenter, topic, why);
    if (part == nullptr) return done(why);
    part->use->used_unix_s = absl::ToUnixSeconds(clock_.Now());
    if (part->there) return done(absl::OkStatus());
    const auto wait = static_cast<uint64_t>(absl::ToInt64Milliseconds(options_.wait));
    part->waiters.push_back({done, NowMs() + wait});
  });
  if (!posted) done(absl::UnavailableError("the agent is stopping"));
}

RemoteCatalog::Part* RemoteCatalog::FindOrAdd(const std::string& datacenter,
                                              const std::string& topic, absl::Status& why) {
  const auto known = datacenters_.find(datacenter);
  if (known != datacenters_.end()) {
    const auto found = known->second.parts.find(topic);
    if (found != known->second.parts.end()) return &found->second;
  }
  const auto is_known = [&] {
    return std::any_of(known_.begin(), known_.end(),
                       [&](const auto& each) { return each.first == datacenter; });
  };
  if (!is_known() && !(UpdateKnown() && is_known())) {
    why = absl::NotFoundError("No path to datacenter");
    return nullptr;
  }
  if (!MakeRoom()) {
    ++counters_.refused;
    why =
        absl::ResourceExhaustedError("as many parts of catalogs are watched as can be; try again");
    return nullptr;
  }
  Part& part = Add(datacenter, topic);
  Open(datacenter, topic, part);
  return &part;
}

RemoteCatalog::Part& RemoteCatalog::Add(const std::string& datacenter, const std::string& topic) {
  ++part_count_;
  counters_.parts = part_count_;
  Datacenter& of = datacenters_[datacenter];
  if (of.catalog == nullptr) {
    const bool translate = options_.translate && datacenter != options_.datacenter;
    of.catalog = std::make_unique<registry::PartialCatalog>(datacenter, translate);
    of.uses = std::make_shared<const registry::PartUses>();
    of.snapshot = of.catalog->MakeSnapshot();
  }
  Part& part = of.parts[topic];
  part.use->used_unix_s = absl::ToUnixSeconds(clock_.Now());
  return part;
}

bool RemoteCatalog::IsWatched(const std::string& datacenter, const std::string& topic) {
  const std::lock_guard lock(telling_->mutex);
  const auto told = telling_->told.find({datacenter, topic});
  return told != telling_->told.end() && !told->second.watchers.empty();
}

RemoteCatalog::Parts::iterator RemoteCatalog::LetGo(const std::string& datacenter, Datacenter& of,
                                                    Parts::iterator at) {
  const std::string& topic = at->first;
  Part& part = at->second;
  if (part.stream != nullptr) part.context->TryCancel();
  of.catalog->Remove(topic);
  of.snapshot = of.catalog->MakeSnapshot();
  auto uses = std::make_shared<registry::PartUses>(*of.uses);
  uses->erase(topic);
  of.uses = std::move(uses);
  {
    // Somebody may just have begun to watch it.
    const std::lock_guard lock(telling_->mutex);
    const auto told = telling_->told.find({datacenter, topic});
    if (told != telling_->told.end()) {
      told->second.response = nullptr;
      if (told->second.watchers.empty()) telling_->told.erase(told);
    }
  }
  // First that it is not there, then what is left.
  Publish();
  if (options_.own && datacenter == options_.datacenter) PublishOwn(of);
  counters_.parts = --part_count_;
  counters_.part_octets = part_octets_ -= part.octets;
  unkept_ = true;
  return of.parts.erase(at);
}

bool RemoteCatalog::LetOldestGo() {
  std::string datacenter;
  Datacenter* from = nullptr;
  Parts::iterator oldest;
  for (auto& [name, of] : datacenters_) {
    for (auto at = of.parts.begin(); at != of.parts.end(); ++at) {
      const Part& part = at->second;
      if (part.always || !part.waiters.empty() || IsWatched(name, at->first)) continue;
      if (from != nullptr && part.use->used_unix_s >= oldest->second.use->used_unix_s) continue;
      datacenter = name;
      from = &of;
      oldest = at;
    }
  }
  if (from == nullptr) return false;
  ++counters_.evicted;
  LetGo(datacenter, *from, oldest);
  return true;
}

bool RemoteCatalog::MakeRoom() {
  while (part_octets_ > options_.octets_max && LetOldestGo()) {
  }
  return part_count_ < options_.parts_max || LetOldestGo();
}

void RemoteCatalog::Open(const std::string& datacenter, const std::string& topic, Part& part) {
  part.retry_ms = NowMs() + kRetryMs;
  const std::optional<std::string> address = paths_.PathTo(datacenter);
  if (!address) {
    part.retry_ms = NowMs() + kNoPathRetryMs;
    return;
  }
  auto server = ServerAt(*address);
  if (server == nullptr) return;
  auto* const stream = new Stream;
  stream->catalog = this;
  stream->number = ++streams_;
  stream->server = std::move(server);
  stream->request.set_datacenter(datacenter);
  stream->request.set_topic(topic);
  if (!calls_.Begin(stream->context.get())) {
    delete stream;
    return;
  }
  part.stream = stream;
  part.context = stream->context;
  part.stream_number = stream->number;
  part.address = *address;
  stream->Begin();
}

void RemoteCatalog::OnResponse(uint64_t number, const std::string& datacenter,
                               const std::string& topic, const peer::v1::WatchResponse& response) {
  const auto found = datacenters_.find(datacenter);
  if (closing_ || found == datacenters_.end()) return;
  Datacenter& of = found->second;
  const auto at = of.parts.find(topic);
  if (at == of.parts.end() || at->second.stream_number != number) return;
  Part& part = at->second;
  ++counters_.messages;
  counters_.octets += response.ByteSizeLong();
  paths_.OnGood(datacenter, part.address);
  const bool begins = part.heard_ms == 0 || part.stale;
  part.stale = response.stale();
  part.age_ms = response.age_ms();
  part.since_ms = part.stale ? NowMs() : 0;
  part.heard_ms = NowMs();
  Take(datacenter, topic, of, part, response);
  SetFreshness(datacenter, of);
  Publish();
  for (const Waiter& waiter : std::exchange(part.waiters, {})) waiter.done(absl::OkStatus());
  Tell(datacenter, topic, response);
  if (begins && part.always && !part.stale && on_told_) on_told_();
}

void RemoteCatalog::Take(const std::string& datacenter, const std::string& topic, Datacenter& of,
                         Part& part, const peer::v1::WatchResponse& response) {
  if (const size_t left_out = of.catalog->Set(topic, response.part()); left_out > 0) {
    PHAROS_LOG(kWarn, "agent.remote",
               "Records of a part of a catalog are left out: datacenter=%s topic=%s count=%d",
               datacenter, topic, left_out);
  }
  of.snapshot = of.catalog->MakeSnapshot();
  if (options_.own && datacenter == options_.datacenter) PublishOwn(of);
  const size_t octets = response.ByteSizeLong();
  counters_.part_octets = part_octets_ += octets - part.octets;
  part.octets = octets;
  unkept_ = true;
  if (!std::exchange(part.there, true)) {
    auto uses = std::make_shared<registry::PartUses>(*of.uses);
    (*uses)[topic] = part.use;
    of.uses = std::move(uses);
  }
}

void RemoteCatalog::OnEnded(uint64_t number, const std::string& datacenter,
                            const std::string& topic, const absl::Status& why) {
  const auto found = datacenters_.find(datacenter);
  if (found == datacenters_.end()) return;
  const auto at = found->second.parts.find(topic);
  if (at == found->second.parts.end() || at->second.stream_number != number) return;
  Part& part = at->second;
  part.stream = nullptr;
  if (closing_) return;
  ++counters_.failed;
  PHAROS_LOG(kDebug, "agent.remote",
             "A part of a catalog is not told any more: datacenter=%s topic=%s: %s", datacenter,
             topic, std::string(why.message()));
  // Who answers that it cannot get there is not to blame itself.
  if (!absl::IsNotFound(why)) paths_.OnFailed(datacenter, part.address);
  // At once by another server, if there is one; who has just failed is left alone for a while.
  const bool had_word = part.heard_ms > 0;
  part.heard_ms = 0;
  if (had_word) Open(datacenter, topic, part);
}

int64_t RemoteCatalog::AgeMs(const Part& part, uint64_t now) {
  return part.since_ms == 0 ? 0 : part.age_ms + static_cast<int64_t>(now - part.since_ms);
}

void RemoteCatalog::SetFreshness(const std::string& datacenter, Datacenter& of) {
  using registry::Freshness;
  const uint64_t now = NowMs();
  bool any = false;
  Freshness newest = Freshness::kExpired;
  for (auto& [topic, part] : of.parts) {
    if (!part.there) continue;
    const Freshness before = part.use->freshness.load(std::memory_order_relaxed);
    Freshness freshness = Freshness::kFresh;
    if (part.stream != nullptr && part.heard_ms > 0 && !part.stale) {
      part.since_ms = 0;
    } else {
      if (part.since_ms == 0) part.since_ms = now;
      freshness = before;
      if (part.age_ms > 0 || now - part.since_ms >= kMoveMs) {
        freshness = absl::Milliseconds(AgeMs(part, now)) > options_.max_stale ? Freshness::kExpired
                                                                              : Freshness::kStale;
      }
    }
    part.use->freshness.store(freshness, std::memory_order_relaxed);
    // That it is as new as it gets again, a response of a server has said, which is told as it is.
    const bool aged = before == Freshness::kFresh || now - part.told_ms >= kTellAgeMs;
    if (freshness != Freshness::kFresh && aged) TellAge(datacenter, topic, part);
    any = true;
    newest = std::min(newest, freshness);
  }
  of.freshness = any ? newest : Freshness::kFresh;
}

void RemoteCatalog::AddWatched() {
  std::vector<std::pair<std::string, std::string>> lacking;
  {
    const std::lock_guard lock(telling_->mutex);
    for (const auto& [key, told] : telling_->told) {
      if (told.response == nullptr && !told.watchers.empty()) lacking.push_back(key);
    }
  }
  for (const auto& [datacenter, topic] : lacking) {
    absl::Status why;
    FindOrAdd(datacenter, topic, why);
  }
}

bool RemoteCatalog::UpdateKnown() {
  const uint64_t now = NowMs();
  std::vector<std::pair<std::string, uint64_t>> known;
  for (std::string& name : paths_.Datacenters()) known.emplace_back(std::move(name), 0);
  // Who tells may have just started. One that has nothing to be said of is let go sooner or later.
  for (const auto& [name, since] : known_) {
    const bool there = std::any_of(known.begin(), known.end(),
                                   [&name = name](const auto& each) { return each.first == name; });
    const auto found = datacenters_.find(name);
    const bool has_parts = found != datacenters_.end() && !found->second.parts.empty();
    if (!there && (has_parts || since == 0 || now - since < kForgetMs)) {
      known.emplace_back(name, since == 0 ? now : since);
    }
  }
  const bool same = known == known_;
  known_ = std::move(known);
  const bool complete = IsComplete();
  return complete_.exchange(complete) != complete || !same;
}

bool RemoteCatalog::IsComplete() const {
  if (!paths_.IsComplete()) return false;
  return known_.size() > 1 ||
         NowMs() - started_ms_ >= static_cast<uint64_t>(absl::ToInt64Milliseconds(options_.settle));
}

void RemoteCatalog::Tick() {
  const uint64_t now = NowMs();
  const int64_t idle_since =
      absl::ToUnixSeconds(clock_.Now()) - absl::ToInt64Seconds(options_.idle);
  bool changed = false;
  if (UpdateKnown()) changed = true;
  if (now - adopted_ms_ >= kRetryMs) {
    adopted_ms_ = now;
    AddWatched();
  }
  for (auto& [name, of] : datacenters_) {
    const registry::Freshness before = of.freshness;
    for (auto at = of.parts.begin(); at != of.parts.end();) {
      const std::string& topic = at->first;
      Part& part = at->second;
      std::vector<Waiter> waiting;
      for (Waiter& waiter : std::exchange(part.waiters, {})) {
        (now < waiter.deadline_ms ? waiting : part.waiters).push_back(std::move(waiter));
      }
      for (const Waiter& late : std::exchange(part.waiters, std::move(waiting))) {
        late.done(NoPath(name));
      }
      if (part.stream == nullptr && now >= part.retry_ms) Open(name, topic, part);
      const bool needed = part.always || !part.waiters.empty() || IsWatched(name, topic);
      if (needed || part.use->used_unix_s > idle_since) {
        ++at;
        continue;
      }
      ++counters_.idle;
      at = LetGo(name, of, at);
      changed = true;
    }
    SetFreshness(name, of);
    if (of.freshness != before) changed = true;
  }
  // What is told may have grown.
  while (part_octets_ > options_.octets_max && LetOldestGo()) changed = true;
  if (changed) Publish();
  Keep(false);
}

void RemoteCatalog::Publish() {
  auto next = std::make_unique<registry::RemoteCatalogs>();
  next->complete = IsComplete();
  for (const auto& [name, since] : known_) {
    if (name == options_.datacenter) continue;
    next->datacenters[name];
    next->nearest.push_back(name);
  }
  if (options_.own) next->datacenters[options_.datacenter];
  for (const auto& [name, of] : datacenters_) {
    // One that is not known any more is none.
    const auto found = next->datacenters.find(name);
    if (found == next->datacenters.end()) continue;
    found->second = {.snapshot = of.snapshot, .parts = of.uses, .freshness = of.freshness};
  }
  if (options_.own) {
    own_freshness_.store(next->datacenters[options_.datacenter].freshness,
                         std::memory_order_relaxed);
  }
  published_.Publish(std::move(next));
}

// The own datacenter ------------------------------------------------------------------------------

void RemoteCatalog::PublishOwn(Datacenter& of) {
  const registry::Changes changes = of.catalog->changes();
  own_published_.Publish(of.catalog->MakeSnapshot());
  for (const auto& [subscription, observer] : observers_) observer(changes);
}

void RemoteCatalog::SetOnTold(std::function<void()> on_told) {
  loop_->PostAndWait([&] { on_told_ = std::move(on_told); });
}

int RemoteCatalog::Subscribe(Observer observer) {
  int subscription = 0;
  loop_->PostAndWait([&] {
    subscription = next_subscription_++;
    observers_.emplace(subscription, std::move(observer));
  });
  return subscription;
}

void RemoteCatalog::Unsubscribe(int subscription) {
  loop_->PostAndWait([&] { observers_.erase(subscription); });
}

void RemoteCatalog::ApplyHere(catalog::v1::Command command) {
  loop_->Post([this, command = std::move(command)] {
    const auto found = datacenters_.find(options_.datacenter);
    if (closing_ || found == datacenters_.end()) return;
    Datacenter& of = found->second;
    if (!of.catalog->ApplyHere(command)) return;
    of.snapshot = of.catalog->MakeSnapshot();
    PublishOwn(of);
    Publish();
  });
}

// The copy on disk --------------------------------------------------------------------------------

void RemoteCatalog::LoadKept() {
  const absl::StatusOr<std::string> file =
      kept_path_.empty() ? absl::NotFoundError("") : ReadFile(kept_path_, kKeptOctetsMax);
  if (file.ok()) {
    const auto kept = DecodeKeptParts(AsOctets(*file));
    if (!kept.ok()) {
      PHAROS_LOG(kWarn, "agent.remote", "The kept parts of catalogs in %s are not used: %s",
                 kept_path_, std::string(kept.status().message()));
    } else {
      for (const peer::v1::KeptPart& each : *kept) TakeKept(each);
      PHAROS_LOG(kInfo, "agent.remote", "Loaded the kept parts of catalogs: count=%d", part_count_);
    }
  }
  for (const std::string& topic : options_.own_always) {
    Datacenter& of = datacenters_[options_.datacenter];
    const auto found = of.parts.find(topic);
    Part& part = found == of.parts.end() ? Add(options_.datacenter, topic) : found->second;
    part.always = true;
  }
  for (auto& [name, of] : datacenters_) SetFreshness(name, of);
  // Those that parts were kept of are known from before.
  for (const auto& [name, of] : datacenters_) known_.emplace_back(name, 0);
  UpdateKnown();
  unkept_ = false;
  Publish();
}

// Until a server is heard, nobody can say what has changed since.
void RemoteCatalog::TakeKept(const peer::v1::KeptPart& kept) {
  peer::v1::WatchResponse response;
  const bool own = kept.datacenter() == options_.datacenter;
  if (own != (own && options_.own) || part_count_ >= options_.parts_max ||
      !response.ParseFromString(kept.response())) {
    return;
  }
  Part& part = Add(kept.datacenter(), kept.topic());
  part.stale = true;
  part.age_ms = std::max<int64_t>(1, absl::ToUnixMillis(clock_.Now()) - kept.fresh_unix_ms());
  part.since_ms = NowMs();
  Take(kept.datacenter(), kept.topic(), datacenters_[kept.datacenter()], part, response);
  Tell(kept.datacenter(), kept.topic(), response);
}

void RemoteCatalog::Keep(bool last) {
  if (kept_path_.empty() || keeping_ || (part_count_ == 0 && !unkept_)) return;
  const uint64_t now = NowMs();
  if (!last && now - kept_ms_ < (unkept_ ? kKeepMs : kStampMs)) return;
  std::vector<ToldPart> parts;
  const int64_t now_unix_ms = absl::ToUnixMillis(clock_.Now());
  for (const auto& [name, of] : datacenters_) {
    for (const auto& [topic, part] : of.parts) {
      if (!part.there) continue;
      const int64_t fresh_unix_ms = now_unix_ms - AgeMs(part, now);
      const std::lock_guard lock(telling_->mutex);
      const auto told = telling_->told.find({name, topic});
      if (told == telling_->told.end() || told->second.response == nullptr) continue;
      parts.push_back({name, topic, fresh_unix_ms, told->second.response});
    }
  }
  keeping_ = true;
  unkept_ = false;
  kept_ms_ = now;
  keep_loop_->Post([this, parts = std::move(parts)] {
    const absl::Status kept = ReplaceFile(kept_path_, EncodeKeptParts(parts));
    if (kept.ok()) {
      ++counters_.kept;
    } else {
      ++counters_.keep_failures;
      PHAROS_LOG(kWarn, "agent.remote", "The parts of catalogs are not kept: %s",
                 std::string(kept.message()));
    }
    loop_->Post([this] { keeping_ = false; });
  });
}

// Who passes it on --------------------------------------------------------------------------------

void RemoteCatalog::Tell(const std::string& datacenter, const std::string& topic,
                         const peer::v1::WatchResponse& response) {
  auto octets = std::make_shared<const std::string>(response.SerializeAsString());
  std::vector<std::function<void()>> ready;
  {
    const std::lock_guard lock(telling_->mutex);
    Told& told = telling_->told[{datacenter, topic}];
    told.response = std::move(octets);
    ++told.version;
    for (Watcher* const watcher : told.watchers) ready.push_back(watcher->ready);
  }
  for (const auto& each : ready) each();
}

// Who watches the part by way of this agent is told how old it is.
void RemoteCatalog::TellAge(const std::string& datacenter, const std::string& topic, Part& part) {
  part.told_ms = NowMs();
  peer::v1::WatchResponse response;
  {
    const std::lock_guard lock(telling_->mutex);
    const auto told = telling_->told.find({datacenter, topic});
    if (told == telling_->told.end() || told->second.response == nullptr) return;
    if (!response.ParseFromString(*told->second.response)) return;
  }
  response.set_stale(true);
  response.set_age_ms(AgeMs(part, part.told_ms));
  Tell(datacenter, topic, response);
}

std::unique_ptr<PartWatcher> RemoteCatalog::Watch(const std::string& datacenter,
                                                  const std::string& topic,
                                                  std::function<void()> ready) {
  auto watcher = std::make_unique<Watcher>();
  watcher->telling = telling_;
  watcher->datacenter = datacenter;
  watcher->topic = topic;
  watcher->ready = std::move(ready);
  {
    const std::lock_guard lock(telling_->mutex);
    telling_->told[{datacenter, topic}].watchers.insert(watcher.get());
  }
  Want(datacenter, topic, [](const absl::Status&) {});
  return watcher;
}

std::function<void()> RemoteCatalog::Http(peer::v1::HttpRequest request, HttpDone done) {
  struct Call {
    std::shared_ptr<Server> server;
    grpc::ClientContext context;
    peer::v1::HttpRequest request;
    peer::v1::HttpResponse response;
    std::string address;
  };
  ++counters_.http;
  const std::vector<std::string> all = paths_.Datacenters();
  const std::string datacenter = request.datacenter();
  if (std::find(all.begin(), all.end(), datacenter) == all.end()) {
    done(absl::NotFoundError("No path to datacenter"));
    return nullptr;
  }
  const std::optional<std::string> address = paths_.PathTo(datacenter);
  auto call = std::make_shared<Call>();
  if (address) call->server = ServerAt(*address);
  if (call->server == nullptr) {
    done(NoPath(datacenter));
    return nullptr;
  }
  if (http_running_.fetch_add(1) >= kHttpMax) {
    http_running_.fetch_sub(1);
    done(absl::ResourceExhaustedError(
        "too many requests to other datacenters are under way; try again"));
    return nullptr;
  }
  if (!calls_.Begin(&call->context)) {
    http_running_.fetch_sub(1);
    done(absl::UnavailableError("the agent is stopping"));
    return nullptr;
  }
  call->request = std::move(request);
  call->address = *address;
  call->context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(kHttpSeconds));
  call->server->stub->async()->Http(
      &call->context, &call->request, &call->response,
      [this, call, datacenter, done = std::move(done)](const grpc::Status& status) {
        http_running_.fetch_sub(1);
        if (status.ok()) {
          done(std::move(call->response));
        } else {
          if (status.error_code() == grpc::StatusCode::UNAVAILABLE) {
            paths_.OnFailed(datacenter, call->address);
          }
          done(FromGrpc(status));
        }
        calls_.End(&call->context);
      });
  return [weak = std::weak_ptr<Call>(call)] {
    if (const auto alive = weak.lock()) alive->context.TryCancel();
  };
}

}  // namespace pharos::cluster
