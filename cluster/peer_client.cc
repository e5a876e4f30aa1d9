#include "cluster/peer_client.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <set>
#include <utility>

#include "base/log.h"
#include "base/status_macros.h"
#include "cluster/edge.h"
#include "cluster/peer_channel.h"
#include "proto/peer.grpc.pb.h"

namespace pharos::cluster {
namespace {

constexpr int kReconnectFirstMs = 50;
constexpr int kReconnectMaxMs = 1000;
constexpr int kIntroduceSeconds = 2;
constexpr int kSnapshotMinutes = 10;
// One envelope takes at most so many messages, and octets of them but for the last.
constexpr size_t kEnvelopeOctetsMax = size_t{4} << 20;

}  // namespace

// What outlives a call that is under way.
struct PeerClient::Shared {
  PeerClientOptions options;
  std::shared_ptr<grpc::ChannelCredentials> credentials;
  mutable std::mutex mutex;
  std::condition_variable idle;
  size_t running ABSL_GUARDED_BY(mutex) = 0;
  bool stopped ABSL_GUARDED_BY(mutex) = false;
  std::string cluster_id ABSL_GUARDED_BY(mutex);
  std::set<grpc::ClientContext*> contexts ABSL_GUARDED_BY(mutex);
  Counters counters ABSL_GUARDED_BY(mutex);
  std::map<std::string, std::shared_ptr<grpc::Channel>> channels ABSL_GUARDED_BY(mutex);

  // False once it has stopped: the call must not begin.
  bool Begin(grpc::ClientContext* context) {
    const std::lock_guard lock(mutex);
    if (stopped) return false;
    ++running;
    contexts.insert(context);
    return true;
  }
  void End(grpc::ClientContext* context) {
    const std::lock_guard lock(mutex);
    contexts.erase(context);
    --running;
    idle.notify_all();
  }
};

// The stream of messages to one server; it is begun anew whenever it has ended and there is
// something to say.
class PeerClient::Pipe : public std::enable_shared_from_this<Pipe> {
 public:
  Pipe(std::shared_ptr<Shared> shared, uint64_t to, std::string address)
      : shared_(std::move(shared)), to_(to), address_(std::move(address)) {
    stub_ = peer::v1::Peers::NewStub(MakePeerChannel(address_, shared_->credentials, "pipe"));
  }

  const std::string& address() const { return address_; }

  bool Send(peer::v1::Message message) {
    const size_t octets = message.ByteSizeLong();
    Stream* begin = nullptr;
    Stream* write = nullptr;
    {
      const std::lock_guard lock(mutex_);
      if (closed_ || queued_octets_ + octets > kQueueOctetsMax) return CountDropped();
      if (stream_ == nullptr) {
        begin = NewStream();
        if (begin == nullptr) return CountDropped();
      } else if (!stream_->held || stream_->over) {
        return CountDropped();  // It is about to end.
      }
      queued_octets_ += octets;
      queue_.push_back(std::move(message));
      if (begin == nullptr && !writing_) write = stream_;
      if (write != nullptr) TakeEnvelope(write->envelope);
    }
    if (begin != nullptr) begin->Begin();
    if (write != nullptr) write->StartWrite(&write->envelope);
    return true;
  }

  bool Reaches() {
    Stream* begin = nullptr;
    {
      const std::lock_guard lock(mutex_);
      if (closed_) return false;
      if (stream_ != nullptr) return stream_->sent && stream_->held && !stream_->over;
      begin = NewStream();
    }
    // Its first envelope is empty then.
    if (begin != nullptr) begin->Begin();
    return false;
  }

  void Close() {
    Stream* ending = nullptr;
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
      queue_.clear();
      if (stream_ != nullptr) {
        stream_->context.TryCancel();
        if (std::exchange(stream_->held, false)) ending = stream_;
      }
    }
    if (ending != nullptr) ending->RemoveHold();
  }

 private:
  struct Stream : grpc::ClientWriteReactor<peer::v1::Envelope> {
    explicit Stream(std::shared_ptr<Pipe> of) : pipe(std::move(of)) {}

    void Begin() {
      if (!pipe->shared_->Begin(&context)) {
        pipe->Ended();
        delete this;
        return;
      }
      pipe->stub_->async()->Pipe(&context, &response, this);
      // Writes begin outside of its reactions, too, and until that is over it must not end.
      AddHold();
      pipe->FirstEnvelope(envelope);
      StartWrite(&envelope);
      StartCall();
    }
    // The server sends nothing before the end, so this is the end: of a connection that is lost,
    // say, which is else not noticed before something is written to it.
    void OnReadInitialMetadataDone(bool) override {
      pipe->SetOver(*this);
      if (pipe->TakeHoldIfOver(*this)) RemoveHold();
    }
    void OnWriteDone(bool ok) override {
      if (!ok) {
        if (pipe->TakeHold(*this)) RemoveHold();
        return;
      }
      const bool first = pipe->SetSent(*this);
      if (pipe->NextEnvelope(envelope)) {
        StartWrite(&envelope);
      } else if (pipe->TakeHoldIfOver(*this)) {
        RemoveHold();
      }
      if (first && pipe->shared_->options.on_connected != nullptr) {
        pipe->shared_->options.on_connected(pipe->to_);
      }
    }
    void OnDone(const grpc::Status& status) override {
      pipe->Ended(&status);
      pipe->shared_->End(&context);
      delete this;
    }
    std::shared_ptr<Pipe> pipe;
    grpc::ClientContext context;
    peer::v1::PipeEnd response;
    peer::v1::Envelope envelope;
    // Under the pipe's mutex.
    bool sent = false;
    bool held = true;
    bool over = false;
  };

  // Null while it is too early to try again.
  Stream* NewStream() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (NowMs() >= retry_at_ms_) stream_ = new Stream(shared_from_this());
    return stream_;
  }

  // Whether it is the first time.
  bool SetSent(Stream& stream) {
    const std::lock_guard lock(mutex_);
    return !std::exchange(stream.sent, true);
  }

  // Whether the caller is the one to remove the hold.
  bool TakeHold(Stream& stream) {
    const std::lock_guard lock(mutex_);
    return std::exchange(stream.held, false);
  }

  void SetOver(Stream& stream) {
    const std::lock_guard lock(mutex_);
    stream.over = true;
  }
  // The same where the stream is over. Not while something is being written, or about to be: the
  // stream must live until that has ended, which takes the hold.
  bool TakeHoldIfOver(Stream& stream) {
    const std::lock_guard lock(mutex_);
    return stream.over && !writing_ && std::exchange(stream.held, false);
  }

  void FirstEnvelope(peer::v1::Envelope& envelope) {
    envelope.Clear();
    {
      const std::lock_guard lock(shared_->mutex);
      *envelope.mutable_from() = shared_->options.self;
      envelope.set_cluster_id(shared_->cluster_id);
      ++shared_->counters.connections;
    }
    envelope.set_to(to_);
    const std::lock_guard lock(mutex_);
    TakeMessages(envelope);
    writing_ = true;
  }
  // False, and nothing is being written, when there is nothing to say.
  bool NextEnvelope(peer::v1::Envelope& envelope) {
    const std::lock_guard lock(mutex_);
    envelope.Clear();
    if (queue_.empty()) {
      writing_ = false;
      return false;
    }
    TakeMessages(envelope);
    return true;
  }
  void TakeEnvelope(peer::v1::Envelope& envelope) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    envelope.Clear();
    TakeMessages(envelope);
    writing_ = true;
  }
  void TakeMessages(peer::v1::Envelope& envelope) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    size_t octets = 0;
    while (!queue_.empty() && octets < kEnvelopeOctetsMax) {
      const size_t of_one = queue_.front().ByteSizeLong();
      octets += of_one;
      queued_octets_ -= of_one;
      *envelope.add_messages() = std::move(queue_.front());
      queue_.pop_front();
    }
  }

  void Ended(const grpc::Status* status = nullptr) {
    bool log = false;
    {
      const std::lock_guard lock(mutex_);
      const bool sent = stream_->sent;
      stream_ = nullptr;
      writing_ = false;
      queue_.clear();
      queued_octets_ = 0;
      backoff_ms_ = sent ? kReconnectFirstMs : std::min(backoff_ms_ * 2, kReconnectMaxMs);
      retry_at_ms_ = NowMs() + static_cast<uint64_t>(backoff_ms_);
      log = !closed_ && status != nullptr &&
            std::exchange(last_error_, status->error_message()) != status->error_message();
    }
    if (log) {
      PHAROS_LOG(kWarn, "agent.server", "Connection to server at %s ended: %s", address_,
                 status->error_message());
    }
    if (shared_->options.on_lost != nullptr) shared_->options.on_lost(to_);
  }

  // False, as its caller returns.
  bool CountDropped() {
    const std::lock_guard lock(shared_->mutex);
    ++shared_->counters.dropped;
    return false;
  }

  const std::shared_ptr<Shared> shared_;
  const uint64_t to_;
  const std::string address_;
  std::unique_ptr<peer::v1::Peers::Stub> stub_;
  std::mutex mutex_;
  Stream* stream_ ABSL_GUARDED_BY(mutex_) = nullptr;  // Deletes itself when it is done.
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::deque<peer::v1::Message> queue_ ABSL_GUARDED_BY(mutex_);
  size_t queued_octets_ ABSL_GUARDED_BY(mutex_) = 0;
  int backoff_ms_ ABSL_GUARDED_BY(mutex_) = kReconnectFirstMs;
  uint64_t retry_at_ms_ ABSL_GUARDED_BY(mutex_) = 0;
  std::string last_error_ ABSL_GUARDED_BY(mutex_);
};

PeerClient::PeerClient(PeerClientOptions options) : shared_(std::make_shared<Shared>()) {
  shared_->options = std::move(options);
}

absl::StatusOr<std::unique_ptr<PeerClient>> PeerClient::Make(PeerClientOptions options) {
  ASSIGN_OR_RETURN(auto credentials, PeerChannelCredentials(options.tls));
  std::unique_ptr<PeerClient> client(new PeerClient(std::move(options)));
  client->shared_->credentials = std::move(credentials);
  return client;
}

PeerClient::~PeerClient() {
  for (auto& [id, pipe] : pipes_) pipe->Close();
  pipes_.clear();
  std::unique_lock lock(shared_->mutex);
  shared_->stopped = true;
  for (grpc::ClientContext* context : shared_->contexts) context->TryCancel();
  shared_->idle.wait(lock, [this] { return shared_->running == 0; });
}

void PeerClient::SetClusterId(const std::string& cluster_id) {
  const std::lock_guard lock(shared_->mutex);
  shared_->cluster_id = cluster_id;
}

bool PeerClient::Send(uint64_t to, const std::string& address, peer::v1::Message message) {
  return PipeTo(to, address).Send(std::move(message));
}

bool PeerClient::Reaches(uint64_t to, const std::string& address) {
  return PipeTo(to, address).Reaches();
}

PeerClient::Pipe& PeerClient::PipeTo(uint64_t to, const std::string& address) {
  std::shared_ptr<Pipe>& pipe = pipes_[to];
  if (pipe == nullptr || pipe->address() != address) {
    if (pipe != nullptr) pipe->Close();
    pipe = std::make_shared<Pipe>(shared_, to, address);
  }
  return *pipe;
}

void PeerClient::KeepOnly(const std::map<uint64_t, std::string>& members) {
  for (auto at = pipes_.begin(); at != pipes_.end();) {
    if (members.contains(at->first)) {
      ++at;
      continue;
    }
    at->second->Close();
    at = pipes_.erase(at);
  }
}

PeerClient::Counters PeerClient::counters() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->counters;
}

void PeerClient::SendSnapshot(uint64_t to, const std::string& address,
                              peer::v1::InstallSnapshot info,
                              std::shared_ptr<const RaftBuffer> data, std::function<void()> done) {
  // A chunk is one write; the reactor lives until the other server has taken it all, or not.
  struct Transfer : grpc::ClientWriteReactor<peer::v1::SnapshotChunk> {
    void Next() {
      chunk.Clear();
      const size_t octets = std::min(kSnapshotChunkOctets, data->size() - offset);
      chunk.set_data(data->data() + offset, octets);
      offset += octets;
      Write();
    }
    void Write() {
      if (offset >= data->size()) {
        StartWriteLast(&chunk, grpc::WriteOptions());
      } else {
        StartWrite(&chunk);
      }
    }
    void OnWriteDone(bool ok) override {
      if (ok && offset < data->size()) Next();
    }
    void OnDone(const grpc::Status& status) override {
      if (!status.ok()) {
        PHAROS_LOG(kWarn, "agent.server", "Sending a snapshot to the server at %s failed: %s",
                   address, status.error_message());
      }
      done();
      shared->End(&context);
      delete this;
    }

    std::shared_ptr<Shared> shared;
    std::unique_ptr<peer::v1::Peers::Stub> stub;
    std::string address;
    std::shared_ptr<const RaftBuffer> data;
    size_t offset = 0;
    std::function<void()> done;
    grpc::ClientContext context;
    peer::v1::SnapshotTaken response;
    peer::v1::SnapshotChunk chunk;
  };
  auto* const transfer = new Transfer;
  transfer->shared = shared_;
  transfer->address = address;
  transfer->data = std::move(data);
  transfer->done = std::move(done);
  transfer->context.set_deadline(std::chrono::system_clock::now() +
                                 std::chrono::minutes(kSnapshotMinutes));
  if (!shared_->Begin(&transfer->context)) {
    transfer->done();
    delete transfer;
    return;
  }
  transfer->stub =
      peer::v1::Peers::NewStub(MakePeerChannel(address, shared_->credentials, "snapshot"));
  transfer->stub->async()->Snapshot(&transfer->context, &transfer->response, transfer);
  {
    const std::lock_guard lock(shared_->mutex);
    *transfer->chunk.mutable_from() = shared_->options.self;
    transfer->chunk.set_cluster_id(shared_->cluster_id);
  }
  transfer->chunk.set_to(to);
  *transfer->chunk.mutable_snapshot() = std::move(info);
  transfer->Write();
  transfer->StartCall();
}

void PeerClient::Introduce(const std::string& address, peer::v1::IntroduceRequest request,
                           std::function<void(absl::StatusOr<peer::v1::IntroduceResponse>)> done) {
  struct Call {
    std::unique_ptr<peer::v1::Peers::Stub> stub;
    grpc::ClientContext context;
    peer::v1::IntroduceRequest request;
    peer::v1::IntroduceResponse response;
  };
  auto call = std::make_shared<Call>();
  call->request = std::move(request);
  call->context.set_deadline(std::chrono::system_clock::now() +
                             std::chrono::seconds(kIntroduceSeconds));
  if (!shared_->Begin(&call->context)) return;
  {
    const std::lock_guard lock(shared_->mutex);
    // One for an address is enough, and there are few addresses.
    std::shared_ptr<grpc::Channel>& channel = shared_->channels[address];
    if (channel == nullptr) channel = MakePeerChannel(address, shared_->credentials, "introduce");
    call->stub = peer::v1::Peers::NewStub(channel);
  }
  call->stub->async()->Introduce(
      &call->context, &call->request, &call->response,
      [shared = shared_, call, done = std::move(done)](const grpc::Status& status) {
        if (status.ok()) {
          done(std::move(call->response));
        } else {
          done(absl::UnavailableError(status.error_message()));
        }
        shared->End(&call->context);
      });
}

}  // namespace pharos::cluster
