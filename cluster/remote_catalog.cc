#include "cluster/remote_catalog.h"

#include <grpcpp/grpcpp.h>
#include <uv.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/log.h"
#include "base/status_macros.h"
// What gRPC generates hides functions of its own.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverloaded-virtual"
#include "proto/peer.grpc.pb.h"
#pragma GCC diagnostic pop

namespace pharos::cluster {
namespace {

constexpr absl::Duration kTick = absl::Milliseconds(100);
constexpr uint64_t kRetryMs = 1'000;
// For so long without a word from a datacenter nothing is called stale: another of its servers is
// found in less.
constexpr uint64_t kMoveMs = 3'000;
constexpr int kHttpSeconds = 660;  // Blocking queries wait for 10 min at most.

uint64_t NowMs() { return uv_hrtime() / 1'000'000; }

absl::Status FromGrpc(const grpc::Status& status) {
  return {static_cast<absl::StatusCode>(status.error_code()), status.error_message()};
}

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
    if (found != telling->told.end()) found->second.watchers.erase(this);
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
  catalog->loop_->PostAndWait([&] {
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
    published_.Publish(std::make_unique<registry::RemoteCatalogs>());
    datacenters_.clear();
  });
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

void RemoteCatalog::Want(const std::string& datacenter, const std::string& topic, Done done) {
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
  const std::vector<std::string> all = paths_.Datacenters();
  if (std::find(all.begin(), all.end(), datacenter) == all.end()) {
    why = absl::NotFoundError("No path to datacenter");
    return nullptr;
  }
  if (part_count_ >= kPartsMax) {
    ++counters_.refused;
    why = absl::ResourceExhaustedError(
        "as much is watched in other datacenters as can be; try again");
    return nullptr;
  }
  ++part_count_;
  counters_.parts = part_count_;
  Datacenter& of = datacenters_[datacenter];
  if (of.catalog == nullptr) {
    of.catalog = std::make_unique<registry::PartialCatalog>(datacenter, options_.translate);
    of.uses = std::make_shared<const registry::PartUses>();
    of.snapshot = of.catalog->MakeSnapshot();
  }
  Part& part = of.parts[topic];
  part.use->used_unix_s = absl::ToUnixSeconds(clock_.Now());
  Open(datacenter, topic, part);
  return &part;
}

void RemoteCatalog::Open(const std::string& datacenter, const std::string& topic, Part& part) {
  part.retry_ms = NowMs() + kRetryMs;
  const std::optional<std::string> address = paths_.PathTo(datacenter);
  if (!address) return;
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
  part.stale = response.stale();
  part.age_ms = response.age_ms();
  part.heard_ms = NowMs();
  if (const size_t left_out = of.catalog->Set(topic, response.part()); left_out > 0) {
    PHAROS_LOG(kWarn, "agent.remote",
               "Records of another datacenter are left out: datacenter=%s topic=%s count=%d",
               datacenter, topic, left_out);
  }
  of.snapshot = of.catalog->MakeSnapshot();
  if (!std::exchange(part.there, true)) {
    auto uses = std::make_shared<registry::PartUses>(*of.uses);
    (*uses)[topic] = part.use;
    of.uses = std::move(uses);
  }
  SetFreshness(of);
  Publish();
  for (const Waiter& waiter : std::exchange(part.waiters, {})) waiter.done(absl::OkStatus());
  Tell(datacenter, topic, response);
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
  PHAROS_LOG(kDebug, "agent.remote", "A part of another datacenter is not told any more: %s %s: %s",
             datacenter, topic, std::string(why.message()));
  // Who answers that it cannot get there is not to blame itself.
  if (!absl::IsNotFound(why)) paths_.OnFailed(datacenter, part.address);
  // At once by another server, if there is one; who has just failed is left alone for a while.
  const bool had_word = part.heard_ms > 0;
  part.heard_ms = 0;
  if (had_word) Open(datacenter, topic, part);
}

void RemoteCatalog::SetFreshness(Datacenter& of) {
  using registry::Freshness;
  const uint64_t now = NowMs();
  bool any = false, cut_off = true;
  int64_t age_ms = 0;
  for (const auto& [topic, part] : of.parts) {
    if (!part.there) continue;
    any = true;
    if (part.stream != nullptr && part.heard_ms > 0 && !part.stale) cut_off = false;
    age_ms = std::max(age_ms, part.age_ms);
  }
  if (!any || !cut_off) {
    of.cut_off_ms = 0;
    of.freshness = Freshness::kFresh;
    return;
  }
  if (of.cut_off_ms == 0) of.cut_off_ms = now;
  if (age_ms == 0 && now - of.cut_off_ms < kMoveMs) return;
  const absl::Duration age = absl::Milliseconds(age_ms + static_cast<int64_t>(now - of.cut_off_ms));
  of.freshness = age > options_.max_stale ? Freshness::kExpired : Freshness::kStale;
}

void RemoteCatalog::Tick() {
  const uint64_t now = NowMs();
  const int64_t idle_since =
      absl::ToUnixSeconds(clock_.Now()) - absl::ToInt64Seconds(options_.idle);
  bool changed = false;
  std::vector<std::string> known = paths_.Datacenters();
  if (known != known_) {
    known_ = std::move(known);
    changed = true;
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
      bool watched = false;
      {
        const std::lock_guard lock(telling_->mutex);
        const auto told = telling_->told.find({name, topic});
        watched = told != telling_->told.end() && !told->second.watchers.empty();
      }
      if (watched || !part.waiters.empty() || part.use->used_unix_s > idle_since) {
        ++at;
        continue;
      }
      ++counters_.idle;
      if (part.stream != nullptr) part.context->TryCancel();
      of.catalog->Remove(topic);
      of.snapshot = of.catalog->MakeSnapshot();
      auto uses = std::make_shared<registry::PartUses>(*of.uses);
      uses->erase(topic);
      of.uses = std::move(uses);
      {
        const std::lock_guard lock(telling_->mutex);
        telling_->told.erase({name, topic});
      }
      at = of.parts.erase(at);
      counters_.parts = --part_count_;
      changed = true;
    }
    SetFreshness(of);
    if (of.freshness != before) {
      changed = true;
      TellAge(name, of);
    }
  }
  if (changed) Publish();
}

void RemoteCatalog::Publish() {
  auto next = std::make_unique<registry::RemoteCatalogs>();
  for (const std::string& name : known_) {
    if (name == options_.datacenter) continue;
    next->datacenters[name];
    next->nearest.push_back(name);
  }
  for (const auto& [name, of] : datacenters_) {
    // One that is not known any more is none.
    const auto found = next->datacenters.find(name);
    if (found == next->datacenters.end()) continue;
    found->second = {.snapshot = of.snapshot, .parts = of.uses, .freshness = of.freshness};
  }
  published_.Publish(std::move(next));
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

// Who watches parts by way of this agent is told that they are stale, or not any more.
void RemoteCatalog::TellAge(const std::string& datacenter, Datacenter& of) {
  const bool stale = of.freshness != registry::Freshness::kFresh;
  for (auto& [topic, part] : of.parts) {
    if (!part.there) continue;
    peer::v1::WatchResponse response;
    {
      const std::lock_guard lock(telling_->mutex);
      const auto told = telling_->told.find({datacenter, topic});
      if (told == telling_->told.end() || told->second.response == nullptr) continue;
      if (!response.ParseFromString(*told->second.response)) continue;
    }
    response.set_stale(stale);
    response.set_age_ms(stale ? static_cast<int64_t>(NowMs() - of.cut_off_ms) + part.age_ms : 0);
    Tell(datacenter, topic, response);
  }
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

void RemoteCatalog::Http(peer::v1::HttpRequest request, HttpDone done) {
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
    return done(absl::NotFoundError("No path to datacenter"));
  }
  const std::optional<std::string> address = paths_.PathTo(datacenter);
  auto call = std::make_shared<Call>();
  if (address) call->server = ServerAt(*address);
  if (call->server == nullptr) return done(NoPath(datacenter));
  if (http_running_.fetch_add(1) >= kHttpMax) {
    http_running_.fetch_sub(1);
    return done(absl::ResourceExhaustedError(
        "too many requests to other datacenters are under way; try again"));
  }
  if (!calls_.Begin(&call->context)) {
    http_running_.fetch_sub(1);
    return done(absl::UnavailableError("the agent is stopping"));
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
}

}  // namespace pharos::cluster
