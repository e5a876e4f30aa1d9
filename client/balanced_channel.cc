#include "pharos/balanced_channel.h"

#include <arpa/inet.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/support/channel_arguments.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <mutex>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

namespace pharos {
namespace {

// How soon an instance that refused a connection is tried again.
constexpr int kReconnectMinMs = 50;
constexpr int kReconnectMaxMs = 1000;

// How gRPC names the instance's address: `ipv4:`, `ipv6:`, and the rest; empty for a host name.
std::pair<std::string_view, std::string> NameAddress(const Instance& instance) {
  std::array<unsigned char, sizeof(in6_addr)> octets;
  const std::string port = std::to_string(instance.port);
  if (inet_pton(AF_INET, instance.address.c_str(), octets.data()) == 1) {
    return {"ipv4:", instance.address + ":" + port};
  }
  if (inet_pton(AF_INET6, instance.address.c_str(), octets.data()) == 1) {
    return {"ipv6:", "[" + instance.address + "]:" + port};
  }
  return {};
}

// One family of addresses fits into a name; the one that more instances have.
std::string MakeTarget(const std::vector<Instance>& instances) {
  std::set<std::string> v4, v6;
  for (const Instance& instance : instances) {
    const auto [scheme, address] = NameAddress(instance);
    if (address.empty() || instance.port == 0) continue;
    (scheme == "ipv4:" ? v4 : v6).insert(address);
  }
  const std::set<std::string>& more = v6.size() > v4.size() ? v6 : v4;
  std::string target;
  for (const std::string& address : more) target += (target.empty() ? "" : ",") + address;
  return target.empty() ? target : (v6.size() > v4.size() ? "ipv6:" : "ipv4:") + target;
}

}  // namespace

class BalancedChannel::Impl {
 public:
  Impl(const Agents& agents, std::string service, WatcherOptions options,
       const std::shared_ptr<grpc::ChannelCredentials>& credentials)
      : credentials_(credentials == nullptr ? grpc::InsecureChannelCredentials() : credentials),
        // Fails at once, as nobody can listen there.
        channel_(MakeChannel("ipv4:127.0.0.1:0")),
        watcher_(agents, std::move(service), std::move(options),
                 [this](const std::vector<Instance>& instances) { Take(instances); }) {}

  bool Wait(std::chrono::milliseconds timeout) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, timeout, [this] { return !target_.empty(); });
  }

  std::shared_ptr<grpc::Channel> Get() {
    const std::lock_guard lock(mutex_);
    return channel_;
  }

 private:
  std::shared_ptr<grpc::Channel> MakeChannel(const std::string& target) const {
    grpc::ChannelArguments arguments;
    arguments.SetLoadBalancingPolicyName("round_robin");
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kReconnectMinMs);
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kReconnectMinMs);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kReconnectMaxMs);
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    return grpc::CreateCustomChannel(target, credentials_, arguments);
  }

  void Take(const std::vector<Instance>& instances) {
    const std::string target = MakeTarget(instances);
    const std::lock_guard lock(mutex_);
    if (target == target_) return;
    target_ = target;
    channel_ = MakeChannel(target.empty() ? "ipv4:127.0.0.1:0" : target);
    channel_->GetState(true);  // Connects at once.
    changed_.notify_all();
  }

  const std::shared_ptr<grpc::ChannelCredentials> credentials_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string target_;
  std::shared_ptr<grpc::Channel> channel_;
  Watcher watcher_;  // Last: it calls Take.
};

BalancedChannel::BalancedChannel(const Agents& agents, std::string service, WatcherOptions options,
                                 const std::shared_ptr<grpc::ChannelCredentials>& credentials)
    : impl_(std::make_unique<Impl>(agents, std::move(service), std::move(options), credentials)) {}
BalancedChannel::~BalancedChannel() = default;
bool BalancedChannel::Wait(std::chrono::milliseconds timeout) const { return impl_->Wait(timeout); }
std::shared_ptr<grpc::Channel> BalancedChannel::Get() const { return impl_->Get(); }

}  // namespace pharos
