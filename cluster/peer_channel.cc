#include "cluster/peer_channel.h"

#include <grpcpp/grpcpp.h>

#include "cluster/callback_threads.h"

namespace pharos::cluster {
namespace {

constexpr int kReconnectFirstMs = 50;
constexpr int kReconnectMaxMs = 1000;
// A connection on which nothing comes back for so long is given up.
constexpr int kKeepaliveMs = 2000;

}  // namespace

std::shared_ptr<grpc::Channel> MakePeerChannel(
    const std::string& address, const std::shared_ptr<grpc::ChannelCredentials>& credentials,
    const std::string& purpose) {
  KeepCallbackThreads();
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kReconnectFirstMs);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kReconnectFirstMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kReconnectMaxMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveMs);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetMaxSendMessageSize(-1);
  // A connection of its own, not one that is shared with what else goes to this address.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetString("pharos.purpose", purpose);
  return grpc::CreateCustomChannel(address, credentials, arguments);
}

bool PeerCalls::Begin(grpc::ClientContext* context) {
  const std::lock_guard lock(mutex_);
  if (stopped_) return false;
  contexts_.insert(context);
  return true;
}

void PeerCalls::End(grpc::ClientContext* context) {
  const std::lock_guard lock(mutex_);
  contexts_.erase(context);
  idle_.notify_all();
}

void PeerCalls::Stop() {
  std::unique_lock lock(mutex_);
  stopped_ = true;
  for (grpc::ClientContext* const context : contexts_) context->TryCancel();
  idle_.wait(lock, [this] { return contexts_.empty(); });
}

}  // namespace pharos::cluster
