#include "dns/upstream_ports.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/check.h"
#include "dns/types.h"

namespace pharos::dns {
namespace {

// A recursor's socket on loopback, where datagrams are as soon as they were sent.
class Recursor {
 public:
  struct Query {
    sockaddr_in from{};
    uint16_t id = 0;
    uint16_t port() const { return from.sin_port; }
  };

  Recursor() { Open(0); }

  SocketAddress address() const { return {IpAddress::V4({127, 0, 0, 1}), port_}; }
  void Close() { socket_ = Socket(); }
  void OpenAgain() { Open(port_); }

  std::optional<Query> Receive() {
    Query query;
    std::array<uint8_t, 64> octets;
    socklen_t length = sizeof query.from;
    if (recvfrom(socket_.fd(), octets.data(), octets.size(), 0,
                 reinterpret_cast<sockaddr*>(&query.from), &length) < 2) {
      return std::nullopt;
    }
    query.id = LoadU16(octets.data());
    return query;
  }
  void Reply(const Query& query, uint16_t id) {
    std::array<uint8_t, kHeaderOctets> octets{};
    StoreU16(octets.data(), id);
    sendto(socket_.fd(), octets.data(), octets.size(), 0,
           reinterpret_cast<const sockaddr*>(&query.from), sizeof query.from);
  }

 private:
  void Open(uint16_t port) {
    socket_ = Socket(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sockaddr_storage any;
    const socklen_t octets = SocketAddress{IpAddress::V4({127, 0, 0, 1}), port}.ToSockaddr(any);
    CHECK(bind(socket_.fd(), reinterpret_cast<const sockaddr*>(&any), octets) == 0);
    port_ = BoundAddress(socket_).port;
  }

  Socket socket_;
  uint16_t port_ = 0;
};

class UpstreamPortsTest : public testing::Test, public UpstreamSocketOwner {
 protected:
  UpstreamPortsTest() {
    uv_loop_init(&loop_);
    ports_.emplace(&loop_, *this);
  }
  ~UpstreamPortsTest() override {
    ports_.reset();
    uv_run(&loop_, UV_RUN_DEFAULT);
    EXPECT_EQ(uv_loop_close(&loop_), 0) << "a handle is left open";
  }

  void OnMessage(uint64_t exchange, const SocketAddress& source, MutableOctets message) override {
    EXPECT_EQ(source, recursor_.address());
    messages_.emplace_back(exchange, LoadU16(message.data()));
    if (cancel_on_message_) ports_->Cancel(exchange);
  }
  void OnError(uint64_t exchange) override { errors_.insert(exchange); }
  void OnClosed() override { ADD_FAILURE() << "that is for connections"; }
  MutableOctets ReadBuffer() override { return {}; }

  // Sends the query of an exchange whose id is its number.
  bool SendOnly(uint64_t exchange) {
    std::array<uint8_t, kHeaderOctets> octets{};
    StoreU16(octets.data(), static_cast<uint16_t>(exchange));
    return ports_->Send(exchange, recursor_.address(), octets);
  }
  // The same; returns it as the recursor got it.
  Recursor::Query Send(uint64_t exchange) {
    EXPECT_TRUE(SendOnly(exchange));
    const std::optional<Recursor::Query> query = recursor_.Receive();
    EXPECT_TRUE(query.has_value());
    return query.value_or(Recursor::Query());
  }
  // Sends queries until two of them left from one port; returns these.
  std::pair<Recursor::Query, Recursor::Query> SendTwoFromOnePort() {
    std::map<uint16_t, Recursor::Query> by_port;
    for (uint64_t exchange = 1;; ++exchange) {
      const Recursor::Query query = Send(exchange);
      const auto [first, is_new] = by_port.emplace(query.port(), query);
      if (!is_new) return {first->second, query};
    }
  }
  // Takes what has come.
  void Turn() { uv_run(&loop_, UV_RUN_NOWAIT); }

  uv_loop_t loop_;
  Recursor recursor_;
  std::optional<UpstreamPorts> ports_;
  std::vector<std::pair<uint64_t, uint16_t>> messages_;  // Exchange and id.
  std::set<uint64_t> errors_;
  bool cancel_on_message_ = false;
};

TEST_F(UpstreamPortsTest, ThereAreManyPortsAndEachTakesOnlySoManyQueries) {
  std::set<uint16_t> seen;
  constexpr size_t kQueries = 2 * UpstreamPorts::kPortsMax * UpstreamPorts::kQueriesMax;
  for (uint64_t exchange = 1; exchange <= kQueries; ++exchange) {
    seen.insert(Send(exchange).port());
    ports_->Cancel(exchange);
    if (exchange == UpstreamPorts::kPortsMax) {
      EXPECT_EQ(seen.size(), UpstreamPorts::kPortsMax) << "each has its own while there are few";
    }
  }
  // Some less, as the kernel may pick one again by chance.
  EXPECT_GT(seen.size(), kQueries / UpstreamPorts::kQueriesMax - UpstreamPorts::kPortsMax / 4);
}

TEST_F(UpstreamPortsTest, OnePortAfterTheOtherIsGivenUp) {
  ports_.emplace(&loop_, *this, absl::ZeroDuration());
  std::set<uint16_t> seen;
  for (uint64_t exchange = 1; exchange <= 50; ++exchange) {
    seen.insert(Send(exchange).port());
  }
  EXPECT_EQ(seen.size(), 50u) << "each is too old for a second query";
  for (uint64_t exchange = 1; exchange <= 50; ++exchange) ports_->Cancel(exchange);
  // Ends only once there is nothing to wait for.
  uv_run(&loop_, UV_RUN_DEFAULT);
}

TEST_F(UpstreamPortsTest, RepliesFindTheirExchange) {
  const auto [first, second] = SendTwoFromOnePort();
  recursor_.Reply(second, second.id);
  recursor_.Reply(first, first.id);
  cancel_on_message_ = true;
  Turn();
  EXPECT_EQ(messages_, (std::vector<std::pair<uint64_t, uint16_t>>{{second.id, second.id},
                                                                   {first.id, first.id}}));
}

TEST_F(UpstreamPortsTest, AQueryIsSentAgainFromTheSamePort) {
  const Recursor::Query first = Send(1);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(Send(1).port(), first.port());
  recursor_.Reply(first, first.id);
  Turn();
  EXPECT_EQ(messages_.size(), 1u);
}

TEST_F(UpstreamPortsTest, ALateReplyIsDroppedAndAGuessedOneIsShownToAllItMayBeMeantFor) {
  const auto [first, second] = SendTwoFromOnePort();
  ports_->Cancel(first.id);
  recursor_.Reply(first, first.id);
  Turn();
  EXPECT_TRUE(messages_.empty()) << "nobody waits for it";
  recursor_.Reply(first, 0xfff0);
  Turn();
  EXPECT_EQ(messages_, (std::vector<std::pair<uint64_t, uint16_t>>{{second.id, 0xfff0}}));
}

TEST_F(UpstreamPortsTest, AllThatWaitAtAPortLearnThatNobodyListens) {
  const auto [first, second] = SendTwoFromOnePort();
  // What had come before is still good.
  recursor_.Reply(first, first.id);
  recursor_.Close();
  // The kernel tells of it in the next call at that port.
  EXPECT_TRUE(SendOnly(second.id));
  while (errors_.empty()) uv_run(&loop_, UV_RUN_ONCE);
  EXPECT_EQ(messages_, (std::vector<std::pair<uint64_t, uint16_t>>{{first.id, first.id}}));
  EXPECT_EQ(errors_, (std::set<uint64_t>{first.id, second.id}));
}

TEST_F(UpstreamPortsTest, AnErrorThatASendIsToldOfIsTheEarlierQueries) {
  const auto [first, second] = SendTwoFromOnePort();
  recursor_.Close();
  EXPECT_TRUE(SendOnly(first.id));
  recursor_.OpenAgain();
  EXPECT_TRUE(SendOnly(second.id)) << "told of the error, as all that wait there";
  EXPECT_TRUE(errors_.empty()) << "not from within what sends";
  // Some of these would have left from that port.
  for (uint64_t exchange = 1000; exchange < 1000 + 8 * UpstreamPorts::kPortsMax; ++exchange) {
    EXPECT_NE(Send(exchange).port(), first.port());
  }
  while (errors_.size() < 2) uv_run(&loop_, UV_RUN_ONCE);
  EXPECT_EQ(errors_, (std::set<uint64_t>{first.id, second.id}));
}

TEST_F(UpstreamPortsTest, AnErrorNobodyWasToldOfDoesNotLoseTheNextQuery) {
  recursor_.Close();
  for (uint64_t exchange = 1; exchange <= UpstreamPorts::kPortsMax; ++exchange) {
    SendOnly(exchange);
    ports_->Cancel(exchange);
  }
  recursor_.OpenAgain();
  for (uint64_t exchange = 1000; exchange < 1000 + 8 * UpstreamPorts::kPortsMax; ++exchange) {
    Send(exchange);
  }
  Turn();
  EXPECT_TRUE(errors_.empty());
}

TEST_F(UpstreamPortsTest, ClosedItSendsNothing) {
  Send(1);
  ports_->Close();
  EXPECT_FALSE(SendOnly(2));
  ports_->Cancel(1);
}

}  // namespace
}  // namespace pharos::dns
