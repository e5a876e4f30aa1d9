// Loads an agent by gRPC and says what that took. usage:
//
//   grpc_load AGENT hold LEASES CONNECTIONS
//   grpc_load AGENT register RATE SECONDS
//   grpc_load AGENT watch WATCHERS CONNECTIONS
//
// `hold` opens leases as fast as they are taken, `register` opens so many a second and ends each at
// once, `watch` measures how soon all watchers hear of each of 20 changes.
// Latencies are from the request until the agent's answer (of a watch: until the response).
#include <grpcpp/grpcpp.h>
#include <grpcpp/support/client_callback.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <iostream>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_format.h"
#include "proto/discovery.grpc.pb.h"

namespace {

namespace v1 = pharos::discovery::v1;
using Clock = std::chrono::steady_clock;

// That the leases are of: as in a fleet, where none has all instances.
constexpr int kServices = 100;

double MsSince(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

// Durations of many threads.
class Latencies {
 public:
  void Add(double ms) {
    const std::lock_guard lock(mutex_);
    all_.push_back(ms);
    more_.notify_all();
  }
  // False if it takes longer than `timeout`.
  bool WaitFor(size_t count, std::chrono::seconds timeout) {
    std::unique_lock lock(mutex_);
    return more_.wait_for(lock, timeout, [&] { return all_.size() >= count; });
  }
  void Print(const std::string& what) {
    const std::lock_guard lock(mutex_);
    std::sort(all_.begin(), all_.end());
    const auto at = [this](double share) {
      const auto place = static_cast<size_t>(share * static_cast<double>(all_.size()));
      return all_.empty() ? 0 : all_[std::min(place, all_.size() - 1)];
    };
    std::cout << absl::StrFormat("%s: %d, p50 %.2f ms, p99 %.2f ms, longest %.2f ms\n", what,
                                 all_.size(), at(0.5), at(0.99), at(1));
  }

 private:
  std::mutex mutex_;
  std::condition_variable more_;
  std::vector<double> all_;
};

class Agent {
 public:
  Agent(const std::string& address, int connections) {
    for (int i = 0; i < connections; ++i) {
      grpc::ChannelArguments arguments;
      arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // A connection for each.
      channels_.push_back(
          grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments));
    }
  }
  const std::shared_ptr<grpc::Channel>& channel(size_t i) const {
    return channels_[i % channels_.size()];
  }
  double Metric(const std::string& name) const {
    grpc::ClientContext context;
    v1::GetMetricsRequest request;
    request.set_prefix(name);
    v1::GetMetricsResponse response;
    v1::Admin::NewStub(channels_[0])->GetMetrics(&context, request, &response);
    return response.metrics_size() == 0 ? 0 : response.metrics(0).value();
  }
  void PrintCost(const std::string& what, double memory_before, double cpu_before) const {
    const double memory = Metric("process_resident_memory_bytes");
    const double cpu = Metric("process_cpu_seconds_total");
    std::cout << absl::StrFormat("agent %s: memory %.0f MiB (+%.0f MiB), CPU %.2f s\n", what,
                                 memory / (1 << 20), (memory - memory_before) / (1 << 20),
                                 cpu - cpu_before);
  }

 private:
  std::vector<std::shared_ptr<grpc::Channel>> channels_;
};

// A lease of one instance.
class Lease final : public grpc::ClientBidiReactor<v1::HoldRequest, v1::HoldResponse> {
 public:
  Lease(const Agent& agent, size_t number, Latencies& held)
      : stub_(v1::Registration::NewStub(agent.channel(number))), held_(held) {
    v1::InstanceSpec& instance = *request_.mutable_open()->add_instances();
    instance.set_service(absl::StrFormat("load-%d", number % kServices));
    instance.set_id(absl::StrFormat("load-%d", number));
    instance.set_address(
        absl::StrFormat("10.%d.%d.%d", 1 + (number >> 16), (number >> 8) & 255, number & 255));
    instance.set_port(80);
    stub_->async()->Hold(&context_, this);
    StartWrite(&request_);
    StartRead(&response_);
    StartCall();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    if (response_.has_opened()) held_.Add(MsSince(begin_));
    StartRead(&response_);
  }
  void OnDone(const grpc::Status& status) override {
    const std::lock_guard lock(mutex_);
    if (!status.ok()) ++failures;
    done_ = true;
    ended_.notify_all();
  }
  void Release() {
    request_.mutable_release();
    StartWrite(&request_);
  }
  void WaitUntilDone() {
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [this] { return done_; });
  }

  inline static std::atomic<int> failures = 0;

 private:
  const Clock::time_point begin_ = Clock::now();
  std::unique_ptr<v1::Registration::Stub> stub_;
  Latencies& held_;
  grpc::ClientContext context_;
  v1::HoldRequest request_;
  v1::HoldResponse response_;
  std::mutex mutex_;
  std::condition_variable ended_;
  bool done_ = false;
};

// Notes when it hears of each change.
class WatcherStream final : public grpc::ClientReadReactor<v1::WatchResponse> {
 public:
  WatcherStream(const Agent& agent, size_t number, Latencies& begun,
                const std::atomic<Clock::time_point>& changed, Latencies& heard)
      : stub_(v1::Discovery::NewStub(agent.channel(number))),
        begun_(begun),
        changed_(changed),
        heard_(heard) {
    request_.mutable_selector()->set_service("watched");
    stub_->async()->Watch(&context_, &request_, this);
    StartRead(&response_);
    StartCall();
  }
  void OnReadDone(bool ok) override {
    if (!ok) return;
    (response_.full() ? begun_ : heard_).Add(response_.full() ? 0 : MsSince(changed_.load()));
    StartRead(&response_);
  }
  void OnDone(const grpc::Status&) override {
    const std::lock_guard lock(mutex_);
    done_ = true;
    ended_.notify_all();
  }
  void End() {
    context_.TryCancel();
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [this] { return done_; });
  }

 private:
  std::unique_ptr<v1::Discovery::Stub> stub_;
  Latencies& begun_;
  const std::atomic<Clock::time_point>& changed_;
  Latencies& heard_;
  grpc::ClientContext context_;
  v1::WatchRequest request_;
  v1::WatchResponse response_;
  std::mutex mutex_;
  std::condition_variable ended_;
  bool done_ = false;
};

int Hold(const Agent& agent, size_t leases) {
  const double memory = agent.Metric("process_resident_memory_bytes");
  double cpu = agent.Metric("process_cpu_seconds_total");
  Latencies held;
  std::vector<std::unique_ptr<Lease>> all;
  const Clock::time_point begin = Clock::now();
  for (size_t i = 0; i < leases; ++i) all.push_back(std::make_unique<Lease>(agent, i, held));
  const bool complete = held.WaitFor(leases, std::chrono::seconds(120));
  const double took_ms = MsSince(begin);
  held.Print("held");
  std::cout << absl::StrFormat("%.0f leases/s\n", static_cast<double>(leases) * 1000 / took_ms);
  agent.PrintCost("with them", memory, cpu);
  cpu = agent.Metric("process_cpu_seconds_total");
  constexpr std::chrono::seconds kIdle(10);
  std::this_thread::sleep_for(kIdle);  // What it costs to hold them: pings.
  agent.PrintCost("in 10 s of holding", memory, cpu);
  const Clock::time_point end = Clock::now();
  for (const auto& lease : all) lease->Release();
  for (const auto& lease : all) lease->WaitUntilDone();
  std::cout << absl::StrFormat("released in %.0f ms, %d streams failed\n", MsSince(end),
                               Lease::failures.load());
  return complete && Lease::failures == 0 ? 0 : 1;
}

int Register(const Agent& agent, int rate, int seconds) {
  const double memory = agent.Metric("process_resident_memory_bytes");
  const double cpu = agent.Metric("process_cpu_seconds_total");
  Latencies held;
  std::deque<std::unique_ptr<Lease>> all;
  const Clock::time_point begin = Clock::now();
  const int count = rate * seconds;
  for (int i = 0; i < count; ++i) {
    std::this_thread::sleep_until(begin + std::chrono::microseconds(int64_t{1'000'000} * i / rate));
    all.push_back(std::make_unique<Lease>(agent, static_cast<size_t>(i), held));
    // A second's worth is held at a time.
    if (all.size() > static_cast<size_t>(rate)) {
      all.front()->Release();
      all.front()->WaitUntilDone();
      all.pop_front();
    }
  }
  const bool complete = held.WaitFor(static_cast<size_t>(count), std::chrono::seconds(30));
  std::cout << absl::StrFormat("%d registrations in %.1f s\n", count, MsSince(begin) / 1000);
  held.Print("registered");
  agent.PrintCost("meanwhile", memory, cpu);
  for (const auto& lease : all) lease->Release();
  for (const auto& lease : all) lease->WaitUntilDone();
  return complete && Lease::failures == 0 ? 0 : 1;
}

int Watch(const Agent& agent, size_t watchers) {
  constexpr int kChanges = 20;
  const double memory = agent.Metric("process_resident_memory_bytes");
  const double cpu = agent.Metric("process_cpu_seconds_total");
  Latencies begun, heard, all_heard;
  std::atomic<Clock::time_point> changed = Clock::now();
  std::vector<std::unique_ptr<WatcherStream>> all;
  for (size_t i = 0; i < watchers; ++i) {
    all.push_back(std::make_unique<WatcherStream>(agent, i, begun, changed, heard));
  }
  bool complete = begun.WaitFor(watchers, std::chrono::seconds(60));
  agent.PrintCost("with the watchers", memory, cpu);
  const auto stub = v1::Registration::NewStub(agent.channel(0));
  const double cpu_before = agent.Metric("process_cpu_seconds_total");
  for (int i = 0; i < kChanges && complete; ++i) {
    grpc::ClientContext context;
    v1::RegisterRequest request;
    request.mutable_instance()->set_service("watched");
    request.mutable_instance()->set_port(static_cast<uint32_t>(1 + i));
    v1::RegisterResponse response;
    changed = Clock::now();
    complete &= stub->Register(&context, request, &response).ok();
    complete &= heard.WaitFor(watchers * static_cast<size_t>(i + 1), std::chrono::seconds(30));
    all_heard.Add(MsSince(changed.load()));
  }
  heard.Print("each watcher heard");
  all_heard.Print("all watchers heard");
  agent.PrintCost("for the changes", memory, cpu_before);
  for (const auto& watcher : all) watcher->End();
  return complete ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::cerr << "usage: grpc_load AGENT hold|register|watch COUNT NUMBER (see the source)\n";
    return 2;
  }
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  const std::string mode = argv[2];
  const int count = std::atoi(argv[3]), number = std::atoi(argv[4]);
  if (count <= 0 || number <= 0) {
    std::cerr << "COUNT and NUMBER are \"" << argv[3] << "\" and \"" << argv[4]
              << "\"; expected numbers from 1 up\n";
    return 2;
  }
  constexpr int kRegisterConnections = 100;
  const Agent agent(argv[1], mode == "register" ? kRegisterConnections : number);
  if (mode == "hold") return Hold(agent, static_cast<size_t>(count));
  if (mode == "register") return Register(agent, count, number);
  if (mode == "watch") return Watch(agent, static_cast<size_t>(count));
  std::cerr << "the mode is \"" << mode << "\"; expected hold, register or watch\n";
  return 2;
}
