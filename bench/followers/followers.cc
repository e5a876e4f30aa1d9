// As many followers of a server's catalog as one likes, and what becomes of changes meanwhile.
// usage:
//
//   followers SERVER STREAMS CONNECTIONS RATE SECONDS
//
// SERVER is where the server takes the calls of other agents (ports.server). RATE registrations are
// made a second, for SECONDS. Says how long each took from its request until all streams had it.
#include <grpcpp/grpcpp.h>
#include <grpcpp/support/client_callback.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_format.h"
#include "proto/peer.grpc.pb.h"

namespace {

namespace v1 = pharos::peer::v1;
using Clock = std::chrono::steady_clock;

constexpr uint64_t kEntriesMax = 4'000'000;
constexpr int kServices = 100;

// When all followers had each entry of the log, by its index.
class Arrivals {
 public:
  explicit Arrivals(uint32_t streams)
      : streams_(streams), seen_(kEntriesMax), whole_(kEntriesMax) {}
  void Add(uint64_t index) {
    if (index >= kEntriesMax) return;
    if (seen_[index].fetch_add(1, std::memory_order_relaxed) + 1 < streams_) return;
    whole_[index].store(Clock::now().time_since_epoch().count(), std::memory_order_relaxed);
  }
  // Not yet, or never: the epoch.
  Clock::time_point At(uint64_t index) const {
    if (index >= kEntriesMax) return {};
    return Clock::time_point(Clock::duration(whole_[index].load(std::memory_order_relaxed)));
  }

 private:
  const uint32_t streams_;
  std::vector<std::atomic<uint32_t>> seen_;
  std::vector<std::atomic<Clock::rep>> whole_;
};

struct Totals {
  std::atomic<uint64_t> messages{0}, images{0}, following{0}, ended{0};
};

class Follower final : public grpc::ClientReadReactor<v1::FollowResponse> {
 public:
  Follower(const std::shared_ptr<grpc::Channel>& channel, int number, Arrivals& arrivals,
           Totals& totals)
      : stub_(v1::CatalogServer::NewStub(channel)), arrivals_(arrivals), totals_(totals) {
    request_.set_datacenter("dc1");
    request_.set_node(absl::StrFormat("follower-%d", number));
    stub_->async()->Follow(&context_, &request_, this);
    StartRead(&response_);
    StartCall();
  }
  void OnReadDone(bool ok) override {
    if (!ok) return;
    ++totals_.messages;
    for (const v1::ImagePart& part : response_.image()) {
      if (!part.last()) continue;
      ++totals_.images;
      if (!following_) ++totals_.following;
      following_ = true;
    }
    for (const v1::Change& change : response_.changes()) arrivals_.Add(change.index());
    StartRead(&response_);
  }
  void OnDone(const grpc::Status&) override {
    ++totals_.ended;
    delete this;
  }
  void Cancel() { context_.TryCancel(); }

 private:
  std::unique_ptr<v1::CatalogServer::Stub> stub_;
  Arrivals& arrivals_;
  Totals& totals_;
  grpc::ClientContext context_;
  v1::FollowRequest request_;
  v1::FollowResponse response_;
  bool following_ = false;
};

// Registrations that were made: when they were asked for, and where in the log they are.
struct Made {
  std::mutex mutex;
  std::vector<std::pair<Clock::time_point, uint64_t>> all;
  std::atomic<uint64_t> under_way{0}, failed{0};
};

void Write(v1::CatalogServer::Stub& stub, int number, Made& made) {
  struct Call {
    grpc::ClientContext context;
    v1::WriteRequest request;
    v1::WriteResult result;
    Clock::time_point begin = Clock::now();
  };
  auto call = std::make_shared<Call>();
  auto& change = *call->request.add_commands()->mutable_register_();
  change.mutable_node()->set_name("load");
  change.mutable_node()->set_address("10.9.9.9");
  auto& service = *change.add_services();
  service.set_name(absl::StrFormat("load-%d", number % kServices));
  service.set_port(static_cast<uint32_t>(1 + number % 60'000));
  ++made.under_way;
  stub.async()->Write(&call->context, &call->request, &call->result,
                      [call, &made](const grpc::Status& status) {
                        const bool ok = status.ok() && call->result.outcomes_size() == 1 &&
                                        call->result.outcomes(0).status().code() == 0;
                        if (ok) {
                          const std::lock_guard lock(made.mutex);
                          made.all.emplace_back(call->begin, call->result.outcomes(0).index());
                        } else {
                          ++made.failed;
                        }
                        --made.under_way;
                      });
}

int Run(const std::string& server, int streams, int connections, int rate, int seconds) {
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  for (int i = 0; i < connections; ++i) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // A connection for each.
    arguments.SetMaxReceiveMessageSize(-1);
    channels.push_back(
        grpc::CreateCustomChannel(server, grpc::InsecureChannelCredentials(), arguments));
  }
  Arrivals arrivals(static_cast<uint32_t>(streams));
  Totals totals;
  std::vector<Follower*> followers;
  followers.reserve(static_cast<size_t>(streams));
  const Clock::time_point opened = Clock::now();
  for (int i = 0; i < streams; ++i) {
    followers.push_back(
        new Follower(channels[static_cast<size_t>(i % connections)], i, arrivals, totals));
  }
  while (totals.following < static_cast<uint64_t>(streams) && totals.ended == 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  std::cout << absl::StrFormat("%d streams have the catalog after %.2f s\n", streams,
                               std::chrono::duration<double>(Clock::now() - opened).count())
            << std::flush;
  std::string line;
  std::getline(std::cin, line);  // Whoever measures says when.

  auto stub =
      v1::CatalogServer::NewStub(grpc::CreateChannel(server, grpc::InsecureChannelCredentials()));
  Made made;
  const uint64_t messages_before = totals.messages;
  const Clock::time_point begin = Clock::now();
  for (int i = 0; i < rate * seconds; ++i) {
    std::this_thread::sleep_until(begin + std::chrono::microseconds(int64_t{1'000'000} * i / rate));
    Write(*stub, i, made);
  }
  while (made.under_way > 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  std::this_thread::sleep_for(std::chrono::seconds(1));
  std::vector<double> delays_ms;
  size_t missing = 0;
  for (const auto& [asked, index] : made.all) {
    const Clock::time_point at = arrivals.At(index);
    if (at == Clock::time_point()) {
      ++missing;
      continue;
    }
    delays_ms.push_back(std::chrono::duration<double, std::milli>(at - asked).count());
  }
  std::sort(delays_ms.begin(), delays_ms.end());
  const auto share = [&](double part) {
    if (delays_ms.empty()) return 0.0;
    return delays_ms[std::min(delays_ms.size() - 1,
                              static_cast<size_t>(part * static_cast<double>(delays_ms.size())))];
  };
  std::cout << absl::StrFormat(
                   "changes: %d, failed %d, not at all %d, p50 %.1f ms, p99 %.1f ms, longest %.1f "
                   "ms, messages %d, images anew %d\n",
                   made.all.size(), made.failed.load(), missing, share(0.5), share(0.99), share(1),
                   totals.messages - messages_before,
                   totals.images - static_cast<uint64_t>(streams))
            << std::flush;
  std::getline(std::cin, line);
  for (Follower* const follower : followers) follower->Cancel();
  while (totals.ended < static_cast<uint64_t>(streams)) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) {
    std::cerr << "usage: followers SERVER STREAMS CONNECTIONS RATE SECONDS\n";
    return 2;
  }
  return Run(argv[1], std::atoi(argv[2]), std::atoi(argv[3]), std::atoi(argv[4]),
             std::atoi(argv[5]));
}
