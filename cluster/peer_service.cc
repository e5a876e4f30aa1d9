#include "cluster/peer_service.h"

#include <grpcpp/grpcpp.h>

#include <cstring>
#include <utility>

#include "absl/strings/str_format.h"
#include "base/status_macros.h"
// What gRPC generates hides functions of its own.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverloaded-virtual"
#include "proto/peer.grpc.pb.h"
#pragma GCC diagnostic pop

namespace pharos::cluster {
namespace {

constexpr int kStopMs = 500;
constexpr int kPingMinMs = 500;
constexpr int kKeepaliveMs = 10'000;

grpc::Status ToGrpc(const absl::Status& status) {
  return {static_cast<grpc::StatusCode>(status.code()), std::string(status.message())};
}

// Reads the stream of one server until it ends.
class PipeReader : public grpc::ServerReadReactor<peer::v1::Envelope> {
 public:
  explicit PipeReader(PeerEvents& events) : events_(events) { StartRead(&envelope_); }

  void OnReadDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::OK);
    if (from_ == 0) {
      if (const absl::Status known =
              events_.OnPeer(envelope_.from(), envelope_.to(), envelope_.cluster_id());
          !known.ok()) {
        return Finish(ToGrpc(known));
      }
      from_ = envelope_.from().raft_id();
    }
    events_.OnMessages(from_, std::move(envelope_));
    envelope_.Clear();
    StartRead(&envelope_);
  }
  void OnDone() override { delete this; }

 private:
  PeerEvents& events_;
  uint64_t from_ = 0;
  peer::v1::Envelope envelope_;
};

// Puts the chunks of a snapshot together.
class SnapshotReader : public grpc::ServerReadReactor<peer::v1::SnapshotChunk> {
 public:
  explicit SnapshotReader(PeerEvents& events) : events_(events) { StartRead(&chunk_); }

  void OnReadDone(bool ok) override {
    if (!ok) return End();
    if (from_ == 0) {
      if (const absl::Status begun = Begin(); !begun.ok()) return Finish(ToGrpc(begun));
    }
    const std::string& data = chunk_.data();
    if (data.size() > buffer_.size() - received_) {
      return Finish(ToGrpc(absl::InvalidArgumentError("more data came than the snapshot has")));
    }
    std::memcpy(buffer_.data() + received_, data.data(), data.size());
    received_ += data.size();
    chunk_.Clear();
    StartRead(&chunk_);
  }
  void OnDone() override { delete this; }

 private:
  absl::Status Begin() {
    RETURN_IF_ERROR(events_.OnPeer(chunk_.from(), chunk_.to(), chunk_.cluster_id()));
    if (chunk_.snapshot().octets() > PeerService::kSnapshotOctetsMax) {
      return absl::InvalidArgumentError(
          absl::StrFormat("a snapshot of %d octets is too large", chunk_.snapshot().octets()));
    }
    from_ = chunk_.from().raft_id();
    info_ = std::move(*chunk_.mutable_snapshot());
    buffer_ = RaftBuffer(info_.octets());
    return absl::OkStatus();
  }
  void End() {
    if (from_ == 0 || received_ != buffer_.size()) {
      return Finish(ToGrpc(absl::DataLossError("the snapshot ended too early")));
    }
    events_.OnSnapshot(from_, std::move(info_), std::move(buffer_),
                       [this](const absl::Status& status) { Finish(ToGrpc(status)); });
  }

  PeerEvents& events_;
  uint64_t from_ = 0;
  peer::v1::SnapshotChunk chunk_;
  peer::v1::InstallSnapshot info_;
  RaftBuffer buffer_;
  size_t received_ = 0;
};

class Service : public peer::v1::Peers::CallbackService {
 public:
  explicit Service(PeerEvents& events) : events_(events) {}

  grpc::ServerReadReactor<peer::v1::Envelope>* Pipe(grpc::CallbackServerContext*,
                                                    peer::v1::PipeEnd*) override {
    return new PipeReader(events_);
  }
  grpc::ServerReadReactor<peer::v1::SnapshotChunk>* Snapshot(grpc::CallbackServerContext*,
                                                             peer::v1::SnapshotTaken*) override {
    return new SnapshotReader(events_);
  }
  grpc::ServerUnaryReactor* Introduce(grpc::CallbackServerContext* context,
                                      const peer::v1::IntroduceRequest* request,
                                      peer::v1::IntroduceResponse* response) override {
    grpc::ServerUnaryReactor* const reactor = context->DefaultReactor();
    events_.OnIntroduce(*request, [reactor, response](peer::v1::IntroduceResponse answer) {
      *response = std::move(answer);
      reactor->Finish(grpc::Status::OK);
    });
    return reactor;
  }

 private:
  PeerEvents& events_;
};

class GrpcPeerService : public PeerService {
 public:
  GrpcPeerService(PeerEvents& events, CatalogStream& stream, CatalogEvents& catalog_events)
      : service_(events), catalog_(MakeCatalogService(stream, catalog_events)) {}
  ~GrpcPeerService() override {
    if (server_ == nullptr) return;
    server_->Shutdown(std::chrono::system_clock::now() + std::chrono::milliseconds(kStopMs));
    server_->Wait();
  }

  absl::Status Listen(const std::string& address, const PeerTls& tls) {
    ASSIGN_OR_RETURN(const auto credentials, PeerServerCredentials(tls));
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address, credentials, &port_);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kPingMinMs);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0);
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.SetMaxReceiveMessageSize(-1);
    // A follower whose connection is dead takes no place for long.
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveMs);
    builder.RegisterService(&service_);
    builder.RegisterService(catalog_.get());
    server_ = builder.BuildAndStart();
    if (server_ == nullptr || port_ == 0) {
      return absl::UnavailableError(absl::StrFormat(
          "cannot listen for other servers on %s (ports.server): is it in use?", address));
    }
    return absl::OkStatus();
  }

  int port() const override { return port_; }

 private:
  Service service_;
  std::unique_ptr<grpc::Service> catalog_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<PeerService>> PeerService::Start(const std::string& address,
                                                                const PeerTls& tls,
                                                                PeerEvents& events,
                                                                CatalogStream& stream,
                                                                CatalogEvents& catalog_events) {
  auto service = std::make_unique<GrpcPeerService>(events, stream, catalog_events);
  RETURN_IF_ERROR(service->Listen(address, tls));
  return service;
}

}  // namespace pharos::cluster
