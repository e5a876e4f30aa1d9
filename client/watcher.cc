#include "pharos/watcher.h"

#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "connection.h"
#include "proto/discovery.grpc.pb.h"

namespace pharos {
namespace {

namespace v1 = discovery::v1;

Health FromMessage(v1::Health health) {
  switch (health) {
    case v1::HEALTH_WARNING:
      return Health::kWarning;
    case v1::HEALTH_CRITICAL:
      return Health::kCritical;
    default:
      return Health::kPassing;
  }
}

Instance FromMessage(const v1::Instance& message) {
  Instance instance;
  instance.service = message.service();
  instance.id = message.id();
  instance.node = message.node();
  instance.datacenter = message.datacenter();
  instance.address = message.address();
  instance.port = static_cast<uint16_t>(message.port());
  instance.tags.assign(message.tags().begin(), message.tags().end());
  instance.meta.insert(message.meta().begin(), message.meta().end());
  instance.weight = message.weight();
  instance.region = message.locality().region();
  instance.zone = message.locality().zone();
  instance.health = FromMessage(message.health());
  return instance;
}

}  // namespace

class Watcher::Impl {
 public:
  Impl(const Agents& agents, std::string service, WatcherOptions options, Listener listener)
      : options_(std::move(options)),
        service_(std::move(service)),
        listener_(std::move(listener)),
        connection_(agents, options_.backoff_min, options_.backoff_max),
        thread_([this] { Run(); }) {}

  ~Impl() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      if (context_ != nullptr) context_->TryCancel();
      changed_.notify_all();
    }
    thread_.join();
  }

  bool Wait(std::chrono::milliseconds timeout) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, timeout, [this] { return known_; });
  }

  std::vector<Instance> instances() {
    const std::lock_guard lock(mutex_);
    std::vector<Instance> all;
    all.reserve(instances_.size());
    for (const auto& [key, instance] : instances_) all.push_back(instance);
    return all;
  }

 private:
  v1::WatchRequest MakeRequest() const {
    v1::WatchRequest request;
    v1::Selector& selector = *request.mutable_selector();
    selector.set_service(service_);
    for (const std::string& tag : options_.tags) selector.add_tags(tag);
    selector.set_filter(options_.filter);
    selector.set_include(options_.only_passing ? v1::INCLUDE_PASSING : v1::INCLUDE_HEALTHY);
    // Another agent has another epoch, and sends the full set.
    request.set_resume_index(index_);
    request.set_resume_epoch(epoch_);
    return request;
  }

  void Take(const v1::WatchResponse& response) {
    {
      const std::lock_guard lock(mutex_);
      index_ = response.index();
      epoch_ = response.epoch();
      if (response.full()) instances_.clear();
      for (const v1::InstanceKey& key : response.removed()) {
        instances_.erase({key.node(), key.id()});
      }
      for (const v1::Instance& instance : response.changed()) {
        instances_[{instance.node(), instance.id()}] = FromMessage(instance);
      }
      known_ = true;
      changed_.notify_all();
    }
    if (listener_ != nullptr) listener_(instances());
  }

  void Run() {
    while (true) {
      grpc::ClientContext context;
      {
        const std::lock_guard lock(mutex_);
        if (stopping_) return;
        context_ = &context;
      }
      const auto stub = v1::Discovery::NewStub(connection_.channel());
      const auto stream = stub->Watch(&context, MakeRequest());
      v1::WatchResponse response;
      while (stream->Read(&response)) {
        connection_.Succeeded();
        Take(response);
      }
      stream->Finish();  // However it ended, what is known stays, and the next agent is asked.
      std::unique_lock lock(mutex_);
      context_ = nullptr;
      changed_.wait_for(lock, connection_.Failed(), [this] { return stopping_; });
    }
  }

  const WatcherOptions options_;
  const std::string service_;
  const Listener listener_;
  client::Connection connection_;  // Of the thread, as are the next two.
  uint64_t index_ = 0;
  uint64_t epoch_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::pair<std::string, std::string>, Instance> instances_;  // By node and id.
  grpc::ClientContext* context_ = nullptr;  // Of the stream that is open.
  bool known_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

Watcher::Watcher(const Agents& agents, std::string service, WatcherOptions options,
                 Listener listener)
    : impl_(std::make_unique<Impl>(agents, std::move(service), std::move(options),
                                   std::move(listener))) {}
Watcher::~Watcher() = default;
bool Watcher::Wait(std::chrono::milliseconds timeout) const { return impl_->Wait(timeout); }
std::vector<Instance> Watcher::instances() const { return impl_->instances(); }

}  // namespace pharos
