#include "pharos/registration.h"

#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "connection.h"
#include "proto/discovery.grpc.pb.h"

namespace pharos {
namespace {

namespace v1 = discovery::v1;

v1::Health ToMessage(Health health) {
  switch (health) {
    case Health::kWarning:
      return v1::HEALTH_WARNING;
    case Health::kCritical:
      return v1::HEALTH_CRITICAL;
    case Health::kPassing:
      break;
  }
  return v1::HEALTH_PASSING;
}

v1::InstanceSpec ToMessage(const InstanceSpec& instance) {
  v1::InstanceSpec message;
  message.set_id(instance.id.empty() ? instance.service : instance.id);
  message.set_service(instance.service);
  message.set_port(instance.port);
  message.set_address(instance.address);
  for (const std::string& tag : instance.tags) message.add_tags(tag);
  for (const auto& [key, value] : instance.meta) (*message.mutable_meta())[key] = value;
  message.mutable_weights()->set_passing(instance.weight);
  message.mutable_weights()->set_warning(instance.warning_weight);
  if (!instance.region.empty() || !instance.zone.empty()) {
    message.mutable_locality()->set_region(instance.region);
    message.mutable_locality()->set_zone(instance.zone);
  }
  message.set_health(ToMessage(instance.health));
  return message;
}

// Whether the agent would say the same again.
bool IsFinal(grpc::StatusCode code) {
  return code == grpc::StatusCode::INVALID_ARGUMENT || code == grpc::StatusCode::ABORTED ||
         code == grpc::StatusCode::UNIMPLEMENTED || code == grpc::StatusCode::PERMISSION_DENIED ||
         code == grpc::StatusCode::UNAUTHENTICATED;
}

}  // namespace

class Registration::Impl {
 public:
  Impl(const Agents& agents, const std::vector<InstanceSpec>& instances,
       RegistrationOptions options)
      : options_(options), connection_(agents, options.backoff_min, options.backoff_max) {
    for (const InstanceSpec& instance : instances) {
      v1::InstanceSpec message = ToMessage(instance);
      const std::string id = message.id();
      wanted_[id] = std::move(message);
    }
    asked_ = 1;
    thread_ = std::thread([this] { Run(); });
  }

  ~Impl() {
    {
      std::unique_lock lock(mutex_);
      stopping_ = true;
      changed_.notify_all();
      if (open_) {
        SendNext();
      } else if (context_ != nullptr) {
        context_->TryCancel();
      }
      changed_.wait_for(lock, options_.release_timeout, [this] { return ended_; });
      if (context_ != nullptr) context_->TryCancel();
    }
    thread_.join();
  }

  grpc::Status Wait(std::chrono::milliseconds timeout) {
    std::unique_lock lock(mutex_);
    const uint64_t asked = asked_;
    const bool done =
        changed_.wait_for(lock, timeout, [&] { return done_ >= asked || !final_.ok() || ended_; });
    if (!final_.ok()) return final_;
    if (done) return std::exchange(refused_, grpc::Status::OK);
    return grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED,
                        last_.ok() ? "no agent has answered yet" : last_.error_message());
  }

  void Set(const InstanceSpec& instance) {
    const std::lock_guard lock(mutex_);
    v1::InstanceSpec message = ToMessage(instance);
    const std::string id = message.id();
    wanted_[id] = std::move(message);
    outputs_.erase(id);
    Ask(id, Change::kSet);
  }

  void Remove(const std::string& id) {
    const std::lock_guard lock(mutex_);
    if (wanted_.erase(id) == 0) return;
    outputs_.erase(id);
    Ask(id, Change::kRemove);
  }

  void SetHealth(const std::string& id, Health health, const std::string& output) {
    const std::lock_guard lock(mutex_);
    const auto found = wanted_.find(id);
    if (found == wanted_.end()) return;
    found->second.set_health(ToMessage(health));
    outputs_[id] = output;
    Ask(id, Change::kHealth);
  }

  bool held() {
    const std::lock_guard lock(mutex_);
    return open_;
  }
  uint64_t index() {
    const std::lock_guard lock(mutex_);
    return index_;
  }

 private:
  // What is to be told of an instance; what comes later tells more.
  enum class Change { kHealth, kSet, kRemove };

  // One stream to one agent. gRPC's threads call; the thread below waits for the end.
  class Stream final : public grpc::ClientBidiReactor<v1::HoldRequest, v1::HoldResponse> {
   public:
    explicit Stream(Impl& impl) : impl_(impl) {}
    void OnReadDone(bool ok) override {
      const std::lock_guard lock(impl_.mutex_);
      if (!ok) return;
      impl_.Take(response_);
      StartRead(&response_);
    }
    void OnWriteDone(bool ok) override {
      const std::lock_guard lock(impl_.mutex_);
      impl_.writing_ = false;
      if (!ok) impl_.writable_ = false;
      impl_.SendNext();
    }
    void OnDone(const grpc::Status& status) override {
      const std::lock_guard lock(impl_.mutex_);
      impl_.last_ = status;
      impl_.open_ = impl_.writable_ = false;
      impl_.stream_ = nullptr;
      impl_.changed_.notify_all();
    }
    v1::HoldRequest request_;
    v1::HoldResponse response_;

   private:
    Impl& impl_;
  };

  // All that follows holds mutex_, but for Run.
  void Ask(const std::string& id, Change what) {
    ++asked_;
    const auto [found, is_new] = pending_.try_emplace(id, what);
    if (is_new) {
      order_.push_back(id);
    } else {
      found->second = what == Change::kHealth ? std::max(found->second, what) : what;
    }
    SendNext();
  }

  // Sends what the agent is to know next, once it has answered what was sent before.
  void SendNext() {
    if (stream_ == nullptr || !open_ || !writable_ || writing_) return;
    v1::HoldRequest& request = stream_->request_;
    request.Clear();
    if (stopping_) {
      request.mutable_release();
    } else if (!order_.empty()) {
      const std::string id = order_.front();
      order_.pop_front();
      const auto found = pending_.find(id);
      switch (found->second) {
        case Change::kSet:
          *request.mutable_register_()->mutable_instance() = wanted_[id];
          break;
        case Change::kHealth:
          request.mutable_health()->set_id(id);
          request.mutable_health()->set_health(wanted_[id].health());
          request.mutable_health()->set_output(outputs_[id]);
          break;
        case Change::kRemove:
          request.mutable_deregister()->set_id(id);
          break;
      }
      pending_.erase(found);
    } else {
      return;
    }
    writable_ = false;
    writing_ = true;
    sent_ = asked_;
    stream_->StartWrite(&request);
  }

  void Take(const v1::HoldResponse& response) {
    if (response.has_opened()) {
      lease_id_ = response.opened().lease_id();
      index_ = response.opened().index();
      open_ = true;
      connected_ = true;
    } else if (response.has_done()) {
      index_ = response.done().index();
    } else if (!stream_->request_.has_deregister()) {
      // What was to be removed and is not there is as it was to be.
      refused_ = grpc::Status(static_cast<grpc::StatusCode>(response.error().code()),
                              response.error().message(), response.error().details());
    }
    writable_ = true;
    // What is still pending was asked for after this.
    if (order_.empty()) done_ = sent_;
    SendNext();
    changed_.notify_all();
  }

  void Begin(Stream& stream, grpc::ClientContext& context) {
    const std::lock_guard lock(mutex_);
    stream_ = &stream;
    context_ = &context;
    // It tells all there is to tell.
    pending_.clear();
    order_.clear();
    sent_ = asked_;
    v1::HoldOpen& open = *stream.request_.mutable_open();
    open.set_lease_id(lease_id_);
    open.set_ttl_ms(static_cast<uint32_t>(options_.ttl.count()));
    open.set_grace_ms(static_cast<uint32_t>(options_.grace.count()));
    for (const auto& [id, instance] : wanted_) *open.add_instances() = instance;
    connected_ = false;
    const auto stub = v1::Registration::NewStub(connection_.channel());
    stub->async()->Hold(&context, &stream);
    writing_ = true;
    stream.StartWrite(&stream.request_);
    stream.StartRead(&stream.response_);
    stream.StartCall();
  }

  void Run() {
    while (true) {
      Stream stream(*this);
      grpc::ClientContext context;
      {
        const std::lock_guard lock(mutex_);
        if (stopping_ || !final_.ok()) break;
      }
      Begin(stream, context);
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stream_ == nullptr; });
      context_ = nullptr;
      if (IsFinal(last_.error_code())) final_ = last_;
      if (stopping_ || !final_.ok()) break;
      if (connected_) connection_.Succeeded();
      changed_.wait_for(lock, connection_.Failed(), [this] { return stopping_; });
    }
    const std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_all();
  }

  const RegistrationOptions options_;
  client::Connection connection_;  // Of the thread.
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, v1::InstanceSpec> wanted_;
  std::map<std::string, std::string> outputs_;
  std::map<std::string, Change> pending_;
  std::deque<std::string> order_;  // Ids in pending_, oldest first.
  // Everything asked for is counted; sent_ and done_ say up to which count the agent was told, and
  // has done so.
  uint64_t asked_ = 0, sent_ = 0, done_ = 0;
  uint64_t index_ = 0;
  std::string lease_id_;
  Stream* stream_ = nullptr;                // Open now.
  grpc::ClientContext* context_ = nullptr;  // Its own.
  bool open_ = false;                       // The agent holds the instances.
  bool writable_ = false;                   // It has answered all that was sent.
  bool writing_ = false;                    // The answer may be there before that is known.
  bool connected_ = false;                  // The last stream got as far as that.
  bool stopping_ = false;
  bool ended_ = false;
  grpc::Status last_, final_, refused_;
  std::thread thread_;
};

Registration::Registration(const Agents& agents, const std::vector<InstanceSpec>& instances,
                           RegistrationOptions options)
    : impl_(std::make_unique<Impl>(agents, instances, options)) {}
Registration::~Registration() = default;
grpc::Status Registration::Wait(std::chrono::milliseconds timeout) { return impl_->Wait(timeout); }
void Registration::Set(const InstanceSpec& instance) { impl_->Set(instance); }
void Registration::Remove(const std::string& id) { impl_->Remove(id); }
void Registration::SetHealth(const std::string& id, Health health, const std::string& output) {
  impl_->SetHealth(id, health, output);
}
bool Registration::held() const { return impl_->held(); }
uint64_t Registration::index() const { return impl_->index(); }

}  // namespace pharos
