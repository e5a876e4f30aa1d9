#include "agent/agent.h"

#include <signal.h>
#include <unistd.h>

#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "agent/cluster_setup.h"
#include "agent/dns_setup.h"
#include "agent/grpc_setup.h"
#include "agent/http_setup.h"
#include "agent/node_id.h"
#include "base/log.h"
#include "base/loop_mailbox.h"
#include "base/random.h"
#include "base/status_macros.h"
#include "cluster/departures.h"
#include "cluster/on_demand_catalog.h"
#include "dns/worker.h"
#include "registry/records.h"

namespace pharos::agent {
namespace {

constexpr absl::Duration kLeaveMax = absl::Seconds(10);

std::vector<IpAddress> LocalAddresses() {
  const std::vector<InterfaceAddress> interfaces = ReadMachine().interfaces;
  std::vector<IpAddress> addresses;
  addresses.reserve(interfaces.size());
  for (const InterfaceAddress& interface : interfaces) {
    addresses.push_back(interface.address);
  }
  return addresses;
}

TelemetryOptions MakeTelemetryOptions(const Config& config) {
  TelemetryOptions options;
  options.prefix = config.telemetry.metrics_prefix;
  if (!config.telemetry.disable_hostname) options.host_name = ReadMachine().host_name;
  options.prefix_filter = config.telemetry.prefix_filter;
  options.filter_default = config.telemetry.filter_default;
  options.node_name = config.node_name;
  options.datacenter = config.datacenter;
  options.server = config.server;
  return options;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Agent>> Agent::Start(LoadedConfig loaded) {
  std::unique_ptr<Agent> agent(new Agent);
  agent->loaded_ = std::move(loaded);
  RETURN_IF_ERROR(agent->StartParts());
  return agent;
}

absl::Status Agent::StartParts() {
  const Config& config = loaded_.config;
  ASSIGN_OR_RETURN(node_id_, LoadNodeId(config.node_id, config.data_dir));
  RETURN_IF_ERROR(StartCatalog());
  ASSIGN_OR_RETURN(local_, LocalAgent::Start(config, node_id_, *consensus_, clock_));
  if (replica_ != nullptr) replica_->SetOnFollowing([this] { local_->SyncSoon(); });
  remote_->SetOnTold([this] { local_->SyncSoon(); });
  metrics_ = std::make_unique<Metrics>(*consensus_, *local_, clock_, MakeTelemetryOptions(config));
  RETURN_IF_ERROR(StartGossip());
  RETURN_IF_ERROR(StartHttp());
  RETURN_IF_ERROR(StartGrpc());
  RETURN_IF_ERROR(StartDns());
  metrics_->SetServers({dns_.get(), http_.get(), grpc_.get(), taps_.get()});
  if (gossip_ != nullptr) metrics_->SetPools([this] { return gossip_->figures(); });
  metrics_->SetParts(&remote_->counters());
  dns_cache_.SetServer(dns_.get());
  local_->SetTick(Metrics::kInterval, [this] { metrics_->Tick(); });
  if (http_ != nullptr) {
    watches_ = std::make_unique<Watches>(local_->loop(), *http_);
    watches_->Set(config.watches);
  } else if (!config.watches.empty()) {
    PHAROS_LOG(kWarn, "agent", "Watches ask by the HTTP API, which is off: none is run");
  }
  return absl::OkStatus();
}

Agent::~Agent() {
  {
    const std::lock_guard lock(mutex_);
    catalog_of_gossip_ = nullptr;
  }
  watches_.reset();
  if (metrics_ != nullptr) {
    metrics_->SetServers({});
    metrics_->SetPools({});
    metrics_->SetParts(nullptr);
  }
  dns_cache_.SetServer(nullptr);
  grpc_.reset();
  http_.reset();
  dns_.reset();
  taps_.reset();
  if (server_ != nullptr) {
    server_->SetHttp(nullptr);
    server_->SetRemote(nullptr);
  }
  forwarded_.reset();
  if (remote_ != nullptr) remote_->SetOnTold(nullptr);
  remote_.reset();
  gossip_catalog_.reset();
  gossip_.reset();
  if (replica_ != nullptr) replica_->SetOnFollowing(nullptr);
  local_.reset();
  consensus_.reset();
}

absl::Status Agent::StartCatalog() {
  const Config& config = loaded_.config;
  if (IsClient(config)) {
    ASSIGN_OR_RETURN(auto replica, cluster::Replica::Start(MakeReplicaOptions(config), clock_));
    replica_ = replica.get();
    absl::StatusOr<std::unique_ptr<cluster::RemoteCatalog>> remote =
        cluster::RemoteCatalog::Start(MakeRemoteOptions(config), *replica_, clock_);
    RETURN_IF_ERROR(remote.status());
    remote_ = *std::move(remote);
    if (IsOnDemand(config)) {
      consensus_ = std::make_unique<cluster::OnDemandCatalog>(config.datacenter, std::move(replica),
                                                              remote_);
    } else {
      consensus_ = std::move(replica);
    }
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(auto server,
                   cluster::Consensus::Start(MakeConsensusOptions(config, node_id_), clock_));
  server_ = server.get();
  consensus_ = std::move(server);
  wan_paths_ = std::make_unique<cluster::WanPaths>(config.datacenter, config.node_name);
  absl::StatusOr<std::unique_ptr<cluster::RemoteCatalog>> remote =
      cluster::RemoteCatalog::Start(MakeRemoteOptions(config), *wan_paths_, clock_);
  RETURN_IF_ERROR(remote.status());
  remote_ = *std::move(remote);
  server_->SetRemote(remote_.get());
  return absl::OkStatus();
}

void Agent::OnWanMember(const gossip::MemberEvent& event) {
  const auto address = ServerAddressOf(event.member);
  if (wan_paths_ == nullptr || !address) return;
  const std::string datacenter = event.member.Tag("dc");
  const bool gone = event.kind == gossip::MemberEvent::Kind::kLeave ||
                    event.kind == gossip::MemberEvent::Kind::kReap;
  if (gone) {
    wan_paths_->RemoveServer(datacenter, *address);
  } else {
    wan_paths_->SetServer(datacenter, *address,
                          event.member.status == gossip::MemberStatus::kAlive);
  }
}

void Agent::OnMember(const gossip::MemberEvent& event) {
  if (replica_ != nullptr) {
    if (const auto address = ServerAddressOf(event.member)) {
      const bool gone = event.kind == gossip::MemberEvent::Kind::kLeave ||
                        event.kind == gossip::MemberEvent::Kind::kReap;
      if (gone) {
        replica_->OnServerGone(*address);
      } else {
        replica_->OnServer(*address, event.member.status == gossip::MemberStatus::kAlive);
      }
    }
  }
  const std::lock_guard lock(mutex_);
  if (catalog_of_gossip_ != nullptr) catalog_of_gossip_->OnEvent(event);
}

absl::Status Agent::StartGossip() {
  const Config& config = loaded_.config;
  Gossip::Events events;
  events.member = [this](const gossip::MemberEvent& event) { OnMember(event); };
  events.wan_member = [this](const gossip::MemberEvent& event) { OnWanMember(event); };
  events.distance = [this](const std::string& datacenter, absl::Duration round_trip) {
    if (wan_paths_ != nullptr) wan_paths_->SetDistance(datacenter, round_trip);
  };
  events.user_event = [this](const gossip::UserEvent& event) { OnUserEvent(event); };
  if (config.server) {
    events.servers = [this](const std::vector<PoolServer>& servers) { OnServers(servers); };
    events.is_leader = [this] { return consensus_->is_leader(); };
  }
  events.failed = [this](const absl::Status& why) {
    const std::lock_guard lock(mutex_);
    failure_ = why;
    kill(getpid(), SIGTERM);
  };
  ASSIGN_OR_RETURN(gossip_, Gossip::Start(config, node_id_, events));
  if (gossip_ == nullptr || !config.server) return absl::OkStatus();
  gossip_catalog_ = std::make_unique<cluster::GossipCatalog>(
      local_->loop(), *consensus_,
      cluster::GossipCatalog::Sources{
          .read_members =
              [this](auto done) { Gossip::ReadMembers(*gossip_->lan(), std::move(done)); },
          .is_leader = [this] { return consensus_->is_leader(); }},
      cluster::GossipCatalogOptions{.node_name = config.node_name,
                                    .datacenter = config.datacenter});
  const std::lock_guard lock(mutex_);
  catalog_of_gossip_ = gossip_catalog_.get();
  return absl::OkStatus();
}

void Agent::OnServers(const std::vector<PoolServer>& servers) {
  std::set<std::string> departed;
  for (const PoolServer& each : servers) {
    if (each.left) {
      departed.insert(each.node_id);
      continue;
    }
    peer::v1::Server server;
    server.set_address(each.address);
    server_->Learn(server, true);
  }
  cluster::RemoveDeparted(*server_, std::move(departed));
}

void Agent::OnUserEvent(const gossip::UserEvent& user_event) {
  std::optional<AgentEvent> event = ParseEvent(user_event);
  if (!event) return;
  local_->loop().Post([this, event = *std::move(event)] {
    if (!IsFor(event, local_->node_name(), local_->state())) return;
    if (events_.Add(event)) {
      PHAROS_LOG(kDebug, "agent", "new event: event_name=%s event_id=%s", event.name, event.id);
    }
  });
}

void Agent::Leave() {
  // First from the servers' cluster, while the pool still knows us as alive.
  LeaveCluster();
  if (gossip_ != nullptr) gossip_->Leave();
  left_ = true;
}

absl::Status Agent::failure() {
  const std::lock_guard lock(mutex_);
  return failure_;
}

SocketAddress Agent::lan_address() const {
  return gossip_ == nullptr ? SocketAddress{} : gossip_->lan()->address();
}

SocketAddress Agent::wan_address() const {
  const gossip::Pool* const wan = gossip_ == nullptr ? nullptr : gossip_->wan();
  return wan == nullptr ? SocketAddress{} : wan->address();
}

absl::Status Agent::StartDns() {
  const dns::ServerOptions options = MakeServerOptions(loaded_.config);
  if (options.addresses.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(dns::AnswerConfig answers, MakeAnswerConfig(loaded_.config));
  SecureRandom(cookie_seed_);
  answers.cookies.seed = cookie_seed_;
  answers.round_trips = RoundTripsByGossip();
  const auto shared = std::make_shared<const dns::AnswerConfig>(std::move(answers));
  SetAnswerConfig(shared);
  const dns::ResolverOptions resolver_options =
      MakeResolverOptions(loaded_.config, options.threads);
  RETURN_IF_ERROR(CheckUpstreams(resolver_options, options.addresses, LocalAddresses()));
  const dns::WorkerOptions worker_options = MakeWorkerOptions(loaded_.config);
  taps_ = std::make_unique<QueryTaps>(options.threads);
  ASSIGN_OR_RETURN(QueryTaps::Prepared taps, taps_->Prepare(loaded_.config.dns));
  taps_->Change(std::move(taps), loaded_.config.dns, [] {});  // There are no workers yet.
  ASSIGN_OR_RETURN(dns_, dns::Server::Start(options, [&](Loop& loop, int thread) {
                     auto worker = std::make_unique<dns::Worker>(
                         consensus_->published(),
                         std::make_unique<dns::UvResolver>(loop.uv(), resolver_options), clock_,
                         shared, SecureRandomU64());
                     worker->SetOptions(worker_options);
                     worker->SetRemote(MakeRemoteSource(loop));
                     if (const auto* const freshness = catalog_freshness()) {
                       worker->SetFreshness(*freshness);
                     }
                     worker->SetObservers(taps_->MakeObservers(thread));
                     return worker;
                   }));
  return absl::OkStatus();
}

const registry::SharedFreshness* Agent::catalog_freshness() const {
  if (IsOnDemand(loaded_.config)) return &remote_->own_freshness();
  return replica_ == nullptr ? &server_->freshness() : &replica_->freshness();
}

std::function<dns::RoundTrips(const std::string&)> Agent::RoundTripsByGossip() {
  if (gossip_ == nullptr) return nullptr;
  return [this](const std::string& from) -> dns::RoundTrips {
    const http::Distances distances(from, gossip_->coordinates());
    return [distances](const registry::Node& to) { return distances.To(to); };
  };
}

dns::RemoteSource Agent::MakeRemoteSource(Loop& loop) {
  auto mailbox = std::make_shared<LoopMailbox>(loop);
  return {.published = &remote_->published(),
          .own = IsOnDemand(loaded_.config),
          .want =
              [this, mailbox](const dns::NeededPart& part, std::function<void(bool there)> done) {
                remote_->Want(part.datacenter, part.part,
                              [mailbox, done = std::move(done)](const absl::Status& status) {
                                LoopMailbox::Post(mailbox,
                                                  [done, there = status.ok()] { done(there); });
                              });
              },
          .mailbox = mailbox};
}

void Agent::InstallTaps() {
  dns_->ForEachThread([this](dns::ThreadHandler& handler, int thread) {
    static_cast<dns::Worker&>(handler).SetObservers(taps_->MakeObservers(thread));
  });
}

http::ApiContext Agent::MakeApiContext() {
  const Config& config = loaded_.config;
  http::Answers answers = http::Answers::kAll;
  if (IsClient(config)) answers = http::Answers::kWhatIsCopied;
  if (IsOnDemand(config)) answers = http::Answers::kWhatIsItsOwn;
  return {.consensus = *consensus_,
          .clock = clock_,
          .defaults = MakeReadDefaults(config),
          .router = MakeRouterOptions(config),
          .cache_marks = cache_marks_,
          .node_name = registry::LowerCase(config.node_name),
          .answers = answers,
          .datacenters = [this] { return remote_->paths().Datacenters(); },
          .forward =
              [this](peer::v1::HttpRequest request, cluster::RemoteCatalog::HttpDone done) {
                return remote_->Http(std::move(request), std::move(done));
              },
          .remote = remote_.get(),
          .coordinates = [this] { return gossip_ == nullptr ? nullptr : gossip_->coordinates(); }};
}

absl::Status Agent::StartHttp() {
  const Config& config = loaded_.config;
  const http::ApiContext context = MakeApiContext();
  api_ = std::make_unique<AgentApi>(
      AgentApi{.local = *local_,
               .config = config,
               .node_id = node_id_,
               .metrics_text = [this] { return metrics_->Text(); },
               .metrics_json = [this](JsonWriter json) { return metrics_->Json(std::move(json)); },
               .answer_config = [this] { return answer_config(); },
               .freshness = catalog_freshness(),
               .follow_metrics =
                   [this](auto listener) {
                     local_->loop().Post(
                         [this, listener = std::move(listener)] { metrics_->Follow(listener); });
                   },
               .dns_cache = dns_cache_,
               .gossip = gossip_.get(),
               .events = events_,
               .reload = [this](auto done) { RequestReload(std::move(done)); },
               .leave = [this] { RequestLeave(); }});
  if (server_ != nullptr) {
    forwarded_ = std::make_unique<http::ForwardedRequests>(
        context, [this](http::Api& api) { AddEventRoutes(api, *api_); });
    server_->SetHttp([this](peer::v1::HttpRequest request, http::ForwardDone done) {
      return forwarded_->Handle(std::move(request), std::move(done));
    });
  }
  const http::ServerOptions options = MakeHttpOptions(config);
  if (options.listen.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(http_, http::Server::Start(options, [&](Loop& loop, int) {
                     auto api = std::make_unique<http::Api>(loop, context);
                     AddLocalRoutes(*api, *api_);
                     AddRegistrationRoutes(*api, *api_);
                     AddAgentRoutes(*api, *api_);
                     AddMonitorRoute(*api);
                     AddDnsRoutes(*api, *api_);
                     AddMetricsRoutes(*api, *api_);
                     AddExplainRoute(*api, *api_);
                     AddGossipRoutes(*api, *api_);
                     AddEventRoutes(*api, *api_);
                     return api;
                   }));
  return absl::OkStatus();
}

absl::Status Agent::StartGrpc() {
  const rpc::ServerOptions options = MakeGrpcOptions(loaded_.config);
  if (options.addresses.empty() && options.tls_addresses.empty()) return absl::OkStatus();
  registrar_ = std::make_unique<GrpcRegistrar>(*local_);
  rpc::AdminSource admin;
  admin.leader = [this] { return consensus_->status().leader.address(); };
  admin.metrics = [this](const std::string& prefix, discovery::v1::GetMetricsResponse& response) {
    local_->loop().PostAndWait([&] { metrics_->List(prefix, response); });
  };
  ASSIGN_OR_RETURN(grpc_, rpc::Server::Start(options, *consensus_, *registrar_, std::move(admin)));
  return absl::OkStatus();
}

std::shared_ptr<const dns::AnswerConfig> Agent::answer_config() {
  const std::lock_guard lock(mutex_);
  return answer_config_;
}

void Agent::SetAnswerConfig(std::shared_ptr<const dns::AnswerConfig> config) {
  const std::lock_guard lock(mutex_);
  answer_config_ = std::move(config);
}

void Agent::RequestReload(std::function<void(absl::Status)> done) {
  {
    const std::lock_guard lock(mutex_);
    reloads_.push_back(std::move(done));
  }
  kill(getpid(), SIGHUP);
}

std::vector<std::function<void(absl::Status)>> Agent::TakeReloads() {
  const std::lock_guard lock(mutex_);
  return std::exchange(reloads_, {});
}

void Agent::RequestLeave() {
  leave_wanted_ = true;
  kill(getpid(), SIGTERM);
}

void Agent::LeaveCluster() {
  if (!loaded_.config.server || server_ == nullptr) return;
  PHAROS_LOG(kInfo, "agent.server", "server starting leave");
  if (const absl::Status left = server_->Leave(kLeaveMax); !left.ok()) {
    PHAROS_LOG(kError, "agent.server", "This server could not leave the cluster: %s",
               std::string(left.message()));
  }
}

void Agent::LogStarted() const {
  for (const SocketAddress& address : dns_addresses()) {
    for (const char* network : {"udp", "tcp"}) {
      PHAROS_LOG(kInfo, "agent", "Started DNS server: address=%s network=%s", address.ToString(),
                 network);
    }
  }
  for (const http::Listen& listen : http_addresses()) {
    PHAROS_LOG(kInfo, "agent", "Starting server: address=%s network=%s protocol=%s",
               listen.unix_path.empty() ? listen.address.ToString() : listen.unix_path,
               listen.unix_path.empty() ? "tcp" : "unix", listen.tls ? "https" : "http");
  }
  const rpc::ServerOptions grpc = MakeGrpcOptions(loaded_.config);
  for (const std::string& address : grpc.addresses) {
    PHAROS_LOG(kInfo, "agent", "Started gRPC server: address=%s protocol=grpc", address);
  }
  for (const std::string& address : grpc.tls_addresses) {
    PHAROS_LOG(kInfo, "agent", "Started gRPC server: address=%s protocol=grpc-tls", address);
  }
  PHAROS_LOG(kInfo, "agent", "Synced node info");
}

absl::Status Agent::Reload(LoadedConfig loaded) {
  const std::vector<std::string> need_restart = KeysThatNeedRestart(loaded_, loaded);
  // Only what a reload may change is taken over; the rest stays as it was started.
  Config next = loaded_.config;
  next.services = loaded.config.services;
  next.checks = loaded.config.checks;
  next.watches = loaded.config.watches;
  next.node_meta = loaded.config.node_meta;
  next.log.level = loaded.config.log.level;
  next.checks_config.discard_output = loaded.config.checks_config.discard_output;
  next.checks_config.update_interval = loaded.config.checks_config.update_interval;
  next.http.discovery_max_stale = loaded.config.http.discovery_max_stale;
  next.telemetry.prefix_filter = loaded.config.telemetry.prefix_filter;
  next.http.connections_per_client_max = loaded.config.http.connections_per_client_max;
  next.tls = loaded.config.tls;
  const std::string domain = next.dns.domain, alt_domain = next.dns.alt_domain;
  const int threads = next.dns.threads;
  next.dns = loaded.config.dns;
  next.dns.domain = domain;
  next.dns.alt_domain = alt_domain;
  next.dns.threads = threads;

  ASSIGN_OR_RETURN(dns::AnswerConfig answers, MakeAnswerConfig(next));
  answers.cookies.seed = cookie_seed_;
  answers.round_trips = RoundTripsByGossip();
  const dns::ServerOptions options = MakeServerOptions(next);
  const dns::ResolverOptions resolver_options = MakeResolverOptions(next, options.threads);
  RETURN_IF_ERROR(CheckUpstreams(resolver_options, options.addresses, LocalAddresses()));
  const http::TlsOptions tls = MakeHttpOptions(next).tls;
  const bool new_tls = http_ != nullptr && !tls.cert_file.empty();
  // Looked at before anything is changed, as what cannot be used leaves everything as it was.
  if (new_tls) RETURN_IF_ERROR(http::MakeTlsContext(tls).status());
  QueryTaps::Prepared taps;
  if (taps_ != nullptr) {
    ASSIGN_OR_RETURN(taps, taps_->Prepare(next.dns));
  }
  RETURN_IF_ERROR(local_->Reload(next));

  SetLogLevel(next.log.level);
  metrics_->SetFilter(next.telemetry.prefix_filter);
  if (dns_ != nullptr) {
    const auto shared = std::make_shared<const dns::AnswerConfig>(std::move(answers));
    SetAnswerConfig(shared);
    const dns::WorkerOptions worker_options = MakeWorkerOptions(next);
    dns_->ForEachThread([&](dns::ThreadHandler& handler, int) {
      static_cast<dns::Worker&>(handler).SetConfig(shared);
      static_cast<dns::Worker&>(handler).SetOptions(worker_options);
      ResolverOf(handler).Reconfigure(resolver_options);
    });
    taps_->Change(std::move(taps), next.dns, [this] { InstallTaps(); });
  }
  if (http_ != nullptr) {
    http_->SetConnectionsPerClientMax(next.http.connections_per_client_max);
    http_->ForEachThread([&next](http::ThreadHandler& handler, int) {
      static_cast<http::Api&>(handler).SetReadDefaults(MakeReadDefaults(next));
    });
    if (new_tls) RETURN_IF_ERROR(http_->ReloadTls(tls));
    watches_->Set(next.watches);
  }
  if (!need_restart.empty()) {
    PHAROS_LOG(kWarn, "agent", "Changes of these keys wait for a restart: %s",
               absl::StrJoin(need_restart, ", "));
  }
  loaded.config = std::move(next);
  loaded_ = std::move(loaded);
  return absl::OkStatus();
}

void Agent::LogMetrics() {
  std::string text;
  local_->loop().PostAndWait([&] { text = metrics_->Text(); });
  for (const auto line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    if (line.front() != '#') PHAROS_LOG(kInfo, "agent.metrics", "%s", std::string(line));
  }
}

std::vector<http::Listen> Agent::http_addresses() const {
  return http_ == nullptr ? std::vector<http::Listen>() : http_->addresses();
}

std::vector<SocketAddress> Agent::dns_addresses() const {
  return dns_ == nullptr ? std::vector<SocketAddress>() : dns_->addresses();
}

}  // namespace pharos::agent
