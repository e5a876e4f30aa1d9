#include "rpc/server.h"

#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>
#include <grpcpp/ext/channelz_service_plugin.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <uv.h>

#include <chrono>
#include <mutex>
#include <utility>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/log.h"
#include "base/random.h"
#include "base/status_macros.h"
#include "cluster/peer_tls.h"
#include "rpc/admin_service.h"
#include "rpc/context.h"
#include "rpc/discovery_service.h"
#include "rpc/health_service.h"
#include "rpc/registration_service.h"
#include "rpc/validate.h"
#include "rpc/xds_service.h"

namespace pharos::rpc {
namespace {

constexpr int kStreamsPerConnectionMax = 10'000;
constexpr int kMetadataOctetsMax = 16 * 1024;
// What a client may ping us: more often is sent away (GOAWAY, too_many_pings).
constexpr int kClientPingMinMs = 200;
// A connection that does not get as far as HTTP/2, and one without any call, are closed.
constexpr int kHandshakeMs = 10'000;
constexpr int kIdleMs = 600'000;
constexpr absl::Duration kSweepInterval = absl::Seconds(1);

int Milliseconds(absl::Duration duration) {
  return static_cast<int>(absl::ToInt64Milliseconds(duration));
}

// What can be told before anything is read.
absl::Status CheckTls(const TlsOptions& tls) {
  if (tls.cert_file.empty() || tls.key_file.empty()) {
    return absl::InvalidArgumentError(
        "ports.grpc_tls is set without tls.grpc.cert_file and key_file; expected both");
  }
  if (tls.verify_clients && tls.ca_file.empty()) {
    return absl::InvalidArgumentError(
        "tls.grpc.verify_incoming is set without a ca_file; expected one that signs clients");
  }
  return absl::OkStatus();
}

void SetLimits(const ServerOptions& options, ::grpc::ServerBuilder& builder) {
  builder.SetMaxReceiveMessageSize(kMessageOctetsMax);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kStreamsPerConnectionMax);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMetadataOctetsMax);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, Milliseconds(options.keepalive_interval));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                             Milliseconds(options.keepalive_timeout));
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeMs);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, kIdleMs);
  // Not without calls: many clients look at an idle connection only when they next need it.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             kClientPingMinMs);
  // Two agents on one port would each get some of the clients.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
}

// What gRPC has to say is mostly about what its clients did wrong, as often as they like.
void LogOfGrpc(gpr_log_func_args* line) { WriteLog(LogLevel::kDebug, "grpc", line->message); }

// Of the whole process: the plugins register themselves with every builder.
void InitGrpc() {
  static std::once_flag once;
  std::call_once(once, [] {
    gpr_set_log_function(LogOfGrpc);
    // It would complain of each message that is no UTF-8; whoever sent it is told.
    google::protobuf::SetLogHandler(nullptr);
    ::grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    ::grpc::channelz::experimental::InitChannelzService();
  });
}

uint64_t NewEpoch() {
  const uint64_t epoch = SecureRandomU64();
  return epoch == 0 ? 1 : epoch;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerOptions& options,
                                                      cluster::CatalogAccess& consensus,
                                                      Registrar& registrar, AdminSource admin) {
  if (!options.tls_addresses.empty()) RETURN_IF_ERROR(CheckTls(options.tls));
  std::unique_ptr<Server> server(new Server(options, consensus, registrar, std::move(admin)));
  RETURN_IF_ERROR(server->Listen(options));
  return server;
}

Server::Server(const ServerOptions& options, cluster::CatalogAccess& consensus,
               Registrar& registrar, AdminSource admin)
    : loop_(std::make_unique<Loop>("grpc")) {
  loop_->PostAndWait([&] {
    hub_ = std::make_unique<TopicHub>(*loop_, consensus);
    context_ = std::make_unique<Context>(Context{.consensus = consensus,
                                                 .registrar = registrar,
                                                 .datacenter = options.datacenter,
                                                 .epoch = NewEpoch(),
                                                 .mailbox = std::make_shared<LoopMailbox>(*loop_),
                                                 .hub = *hub_,
                                                 .streams = streams_,
                                                 .counters = counters_,
                                                 .stopping = stopping_});
    watches_ = std::make_unique<Watches>(*context_);
    timer_ = std::make_unique<LoopTimer>(loop_->uv());
    timer_->Every(kSweepInterval, [this] {
      watches_->Sweep(uv_hrtime());
      streams_.CheckProgress(uv_hrtime());
    });
  });
  registration_ = std::make_unique<RegistrationService>(*context_);
  discovery_ = std::make_unique<DiscoveryService>(*context_, *watches_, SecureRandomU64());
  health_ = std::make_unique<HealthService>(*context_);
  admin_ = std::make_unique<AdminService>(*context_, std::move(admin));
  xds_resources_ = std::make_unique<XdsResources>();
  xds_ = std::make_unique<XdsService>(*context_, *xds_resources_);
}

absl::Status Server::Listen(const ServerOptions& options) {
  InitGrpc();
  ::grpc::ServerBuilder builder;
  SetLimits(options, builder);
  std::vector<std::pair<std::string, int>> ports;  // What each came to be.
  ports.reserve(options.addresses.size() + options.tls_addresses.size());
  for (const std::string& address : options.addresses) {
    ports.emplace_back(address, 0);
    builder.AddListeningPort(address, ::grpc::InsecureServerCredentials(), &ports.back().second);
  }
  if (!options.tls_addresses.empty()) {
    const TlsOptions& tls = options.tls;
    ASSIGN_OR_RETURN(const auto credentials,
                     cluster::PeerServerCredentials({.ca_file = tls.ca_file,
                                                     .cert_file = tls.cert_file,
                                                     .key_file = tls.key_file,
                                                     .verify_incoming = tls.verify_clients}));
    for (const std::string& address : options.tls_addresses) {
      ports.emplace_back(address, 0);
      builder.AddListeningPort(address, credentials, &ports.back().second);
    }
  }
  builder.RegisterService(registration_.get());
  builder.RegisterService(discovery_.get());
  builder.RegisterService(health_.get());
  builder.RegisterService(admin_.get());
  builder.RegisterService(xds_.get());
  server_ = builder.BuildAndStart();
  if (server_ != nullptr) return absl::OkStatus();
  std::vector<std::string> failed;
  for (const auto& [address, port] : ports) {
    if (port == 0) failed.push_back(address);
  }
  return absl::UnavailableError(absl::StrFormat(
      "cannot listen on tcp %s for gRPC: the port is in use, or it is no address of this machine",
      absl::StrJoin(failed, ", ")));
}

Server::~Server() {
  stopping_ = true;
  if (server_ != nullptr) {
    // Clients are told to go (GOAWAY) before their streams end, so that none comes back to this
    // server. What is not answered by the deadline is cancelled.
    Loop stopper("grpc-stop");
    stopper.Post([this] {
      server_->Shutdown(std::chrono::system_clock::now() + std::chrono::milliseconds(200));
    });
    loop_->PostAndWait([this] { streams_.StopAll(); });
    stopper.Stop();
    server_->Wait();
  }
  loop_->PostAndWait([this] {
    timer_.reset();
    watches_.reset();
    hub_.reset();
    context_->mailbox->Close();
  });
  loop_->Stop();
}

}  // namespace pharos::rpc
