#include "connection.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>

#include <algorithm>

namespace pharos::client {
namespace {

// An agent that has vanished is noticed by pings that it does not answer. Agents allow five a
// second.
constexpr int kPingMs = 1000;
constexpr int kReconnectMinMs = 20;
constexpr int kReconnectMaxMs = 1000;

grpc::ChannelArguments MakeArguments() {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kPingMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kPingMs);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kReconnectMinMs);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kReconnectMinMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kReconnectMaxMs);
  // Agents are no HTTP servers on the internet.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return arguments;
}

}  // namespace

Connection::Connection(const Agents& agents, std::chrono::milliseconds backoff_min,
                       std::chrono::milliseconds backoff_max)
    : backoff_min_(backoff_min),
      backoff_max_(std::max(backoff_min, backoff_max)),
      backoff_(backoff_min),
      random_(std::random_device()()) {
  const auto credentials =
      agents.credentials == nullptr ? grpc::InsecureChannelCredentials() : agents.credentials;
  for (const std::string& address : agents.addresses) {
    channels_.push_back(grpc::CreateCustomChannel(address, credentials, MakeArguments()));
  }
  if (channels_.empty()) {
    channels_.push_back(grpc::CreateCustomChannel("", credentials, MakeArguments()));
  }
}

std::chrono::milliseconds Connection::Failed() {
  at_ = (at_ + 1) % channels_.size();
  const auto whole = static_cast<uint32_t>(backoff_.count());
  const std::chrono::milliseconds pause(
      std::uniform_int_distribution<uint32_t>(whole / 2, whole)(random_));
  backoff_ = std::min(backoff_ * 2, backoff_max_);
  return pause;
}

}  // namespace pharos::client
