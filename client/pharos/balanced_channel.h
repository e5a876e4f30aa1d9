// A channel to a service: calls are spread over its healthy instances, and follow them.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/security/credentials.h>

#include <chrono>
#include <memory>
#include <string>

#include "pharos/agents.h"
#include "pharos/watcher.h"

namespace pharos {

// gRPC lets nobody add name resolvers by its public interface, so this makes a new channel whenever
// the instances change. Connections are shared between channels, so those that stay are kept, and
// calls under way end on the channel they began on. Where `xds:` names can be used (docs/grpc.md),
// gRPC does the same by itself.
//
// Any thread may call.
class BalancedChannel {
 public:
  // `credentials` are for the instances; null: no TLS. Instances without an IP address and a port
  // are left out.
  BalancedChannel(const Agents& agents, std::string service, WatcherOptions options = {},
                  const std::shared_ptr<grpc::ChannelCredentials>& credentials = nullptr);
  ~BalancedChannel();
  BalancedChannel(const BalancedChannel&) = delete;
  BalancedChannel& operator=(const BalancedChannel&) = delete;

  // Waits until there is an instance; false after `timeout`.
  bool Wait(std::chrono::milliseconds timeout) const;
  // For one call, or a few: ask again for the next. Without an instance, calls on it fail with
  // UNAVAILABLE. Never null.
  std::shared_ptr<grpc::Channel> Get() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pharos
