#include "cluster/peer_client.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cluster/peer_service.h"

namespace pharos::cluster {
namespace {

constexpr uint64_t kServer = 2;

// A server that takes messages, and does nothing else.
class Server : public PeerEvents, public CatalogEvents {
 public:
  Server() : stream_("dc1", [](auto&&...) {}) {
    auto service = PeerService::Start("127.0.0.1:0", {}, *this, stream_, *this);
    EXPECT_TRUE(service.ok()) << service.status();
    service_ = *std::move(service);
  }
  std::string address() const { return absl::StrCat("127.0.0.1:", service_->port()); }
  size_t messages() {
    const std::lock_guard lock(mutex_);
    return messages_;
  }

  absl::Status OnPeer(const peer::v1::Server&, uint64_t, const std::string&) override {
    return absl::OkStatus();
  }
  void OnMessages(uint64_t, peer::v1::Envelope envelope) override {
    const std::lock_guard lock(mutex_);
    messages_ += static_cast<size_t>(envelope.messages_size());
  }
  void OnSnapshot(uint64_t, peer::v1::InstallSnapshot, RaftBuffer,
                  std::function<void(absl::Status)> done) override {
    done(absl::OkStatus());
  }
  void OnIntroduce(peer::v1::IntroduceRequest,
                   std::function<void(peer::v1::IntroduceResponse)> done) override {
    done({});
  }
  void OnClientWrite(peer::v1::WriteRequest,
                     std::function<void(peer::v1::WriteResult)> done) override {
    done({});
  }
  void OnClientRead(bool, std::function<void(peer::v1::ReadIndexResult)> done) override {
    done({});
  }
  std::function<void()> OnHttp(
      peer::v1::HttpRequest,
      std::function<void(absl::StatusOr<peer::v1::HttpResponse>)> done) override {
    done(peer::v1::HttpResponse());
    return nullptr;
  }
  absl::StatusOr<std::unique_ptr<PartWatcher>> OnWatch(const peer::v1::WatchRequest&,
                                                       std::function<void()>) override {
    return absl::UnavailableError("nothing is told here");
  }

 private:
  CatalogStream stream_;
  std::mutex mutex_;
  size_t messages_ = 0;
  std::unique_ptr<PeerService> service_;
};

class PeerClientTest : public testing::Test {
 protected:
  PeerClientTest() {
    PeerClientOptions options;
    options.self.set_raft_id(1);
    options.on_connected = [this](uint64_t) { Count(connected_); };
    options.on_lost = [this](uint64_t) { Count(lost_); };
    auto client = PeerClient::Make(std::move(options));
    EXPECT_TRUE(client.ok()) << client.status();
    client_ = *std::move(client);
  }

  void Count(int& counter) {
    const std::lock_guard lock(mutex_);
    ++counter;
    changed_.notify_all();
  }
  // Until the counter is at least `count`; the test's own time limit ends it otherwise.
  void Await(const int& counter, int count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return counter >= count; });
  }
  static peer::v1::Message Question() {
    peer::v1::Message message;
    message.mutable_read_index()->set_id(7);
    return message;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  int connected_ = 0, lost_ = 0;
  std::unique_ptr<PeerClient> client_;
};

TEST_F(PeerClientTest, ReachesAServerOnceSomethingHasGoneThere) {
  Server server;
  EXPECT_FALSE(client_->Reaches(kServer, server.address()));
  Await(connected_, 1);
  EXPECT_TRUE(client_->Reaches(kServer, server.address()));
  EXPECT_TRUE(client_->Send(kServer, server.address(), Question()));
  while (server.messages() == 0) absl::SleepFor(absl::Milliseconds(1));
}

TEST_F(PeerClientTest, NoticesThatAnIdleConnectionIsLost) {
  auto server = std::make_unique<Server>();
  const std::string address = server->address();
  EXPECT_FALSE(client_->Reaches(kServer, address));
  Await(connected_, 1);
  server.reset();
  Await(lost_, 1);
  EXPECT_FALSE(client_->Reaches(kServer, address));
  EXPECT_FALSE(client_->Send(kServer, address, Question()))
      << "it is too early to try again, and what is not sent is said not to be";
}

TEST_F(PeerClientTest, DoesNotReachWhoDoesNotListen) {
  const std::string address = Server().address();
  EXPECT_FALSE(client_->Reaches(kServer, address));
  Await(lost_, 1);
  EXPECT_FALSE(client_->Reaches(kServer, address));
}

}  // namespace
}  // namespace pharos::cluster
