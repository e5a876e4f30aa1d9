#include "dns/uv_resolver.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "base/check.h"
#include "dns/upstream_test_message.h"

namespace pharos::dns {
namespace {

// A name server on loopback, on the test's own loop: UDP, and TCP on the same port.
class TestUpstream {
 public:
  explicit TestUpstream(uv_loop_t* loop) {
    // The port the kernel picks for one may be taken for the other.
    for (int attempt = 0; attempt < 20 && !Bind(loop); ++attempt) Close();
    CHECK(udp_ != nullptr);
  }
  ~TestUpstream() { Close(); }

  // Closes both sockets, so that whoever asks is refused.
  void Close() {
    if (udp_ == nullptr) return;
    uv_close(reinterpret_cast<uv_handle_t*>(udp_), DeleteUdp);
    uv_close(reinterpret_cast<uv_handle_t*>(tcp_), DeleteTcp);
    for (uv_tcp_t* client : clients_) uv_close(reinterpret_cast<uv_handle_t*>(client), DeleteTcp);
    clients_.clear();
    udp_ = nullptr;
  }

  SocketAddress address() const { return {IpAddress::V4({127, 0, 0, 1}), port_}; }

  // What it replies; empty: nothing. Gets whether it was asked over TCP.
  std::function<std::vector<uint8_t>(Octets query, bool tcp)> reply = [](Octets query, bool) {
    return MakeReply(query, {.answer = {"www.example. 60 IN A 192.0.2.1"}});
  };
  bool in_pieces = false;  // TCP: each octet is sent by itself.
  int udp_queries = 0, tcp_queries = 0;
  std::set<uint16_t> client_ports;

 private:
  bool Bind(uv_loop_t* loop) {
    udp_ = new uv_udp_t;
    tcp_ = new uv_tcp_t;
    uv_udp_init(loop, udp_);
    uv_tcp_init(loop, tcp_);
    udp_->data = this;
    tcp_->data = this;
    sockaddr_storage storage;
    SocketAddress{IpAddress::V4({127, 0, 0, 1}), 0}.ToSockaddr(storage);
    const auto* address = reinterpret_cast<const sockaddr*>(&storage);
    CHECK(uv_udp_bind(udp_, address, 0) == 0);
    int length = sizeof storage;
    uv_udp_getsockname(udp_, reinterpret_cast<sockaddr*>(&storage), &length);
    port_ = SocketAddress::FromSockaddr(storage).port;
    uv_udp_recv_start(udp_, Allocate, OnDatagram);
    return uv_tcp_bind(tcp_, address, 0) == 0 &&
           uv_listen(reinterpret_cast<uv_stream_t*>(tcp_), 8, OnConnection) == 0;
  }

  static void DeleteUdp(uv_handle_t* handle) { delete reinterpret_cast<uv_udp_t*>(handle); }
  static void DeleteTcp(uv_handle_t* handle) { delete reinterpret_cast<uv_tcp_t*>(handle); }
  static void Allocate(uv_handle_t* /*handle*/, size_t /*suggested*/, uv_buf_t* buffer) {
    static char octets[4096];
    *buffer = uv_buf_init(octets, sizeof octets);
  }

  static void OnDatagram(uv_udp_t* udp, ssize_t octets, const uv_buf_t* buffer,
                         const sockaddr* source, unsigned int /*flags*/) {
    if (octets <= 0 || source == nullptr) return;
    auto* self = static_cast<TestUpstream*>(udp->data);
    ++self->udp_queries;
    self->client_ports.insert(ntohs(reinterpret_cast<const sockaddr_in*>(source)->sin_port));
    std::vector<uint8_t> message =
        self->reply(AsOctets({buffer->base, static_cast<size_t>(octets)}), false);
    if (message.empty()) return;
    const uv_buf_t out = uv_buf_init(reinterpret_cast<char*>(message.data()),
                                     static_cast<unsigned int>(message.size()));
    uv_udp_try_send(udp, &out, 1, source);
  }

  static void OnConnection(uv_stream_t* listener, int /*status*/) {
    auto* self = static_cast<TestUpstream*>(listener->data);
    auto* client = new uv_tcp_t;
    uv_tcp_init(listener->loop, client);
    client->data = self;
    uv_accept(listener, reinterpret_cast<uv_stream_t*>(client));
    uv_tcp_nodelay(client, 1);
    self->clients_.insert(client);
    uv_read_start(reinterpret_cast<uv_stream_t*>(client), Allocate, OnStream);
  }

  static void OnStream(uv_stream_t* stream, ssize_t octets, const uv_buf_t* buffer) {
    auto* self = static_cast<TestUpstream*>(stream->data);
    if (octets < 0) return self->CloseClient(reinterpret_cast<uv_tcp_t*>(stream));
    ++self->tcp_queries;
    const std::vector<uint8_t> message =
        self->reply(AsOctets({buffer->base + 2, static_cast<size_t>(octets) - 2}), true);
    if (message.empty()) return self->CloseClient(reinterpret_cast<uv_tcp_t*>(stream));
    std::string framed = {static_cast<char>(message.size() >> 8),
                          static_cast<char>(message.size())};
    framed.append(AsText(message));
    const size_t piece = self->in_pieces ? 1 : framed.size();
    for (size_t at = 0; at < framed.size(); at += piece) {
      const uv_buf_t out = uv_buf_init(&framed[at], static_cast<unsigned int>(piece));
      uv_try_write(stream, &out, 1);
    }
  }

  void CloseClient(uv_tcp_t* client) {
    clients_.erase(client);
    uv_close(reinterpret_cast<uv_handle_t*>(client), DeleteTcp);
  }

  uv_udp_t* udp_ = nullptr;
  uv_tcp_t* tcp_ = nullptr;
  uint16_t port_ = 0;
  std::set<uv_tcp_t*> clients_;
};

class UvResolverTest : public ::testing::Test {
 protected:
  UvResolverTest() {
    uv_loop_init(&loop_);
    first_ = std::make_unique<TestUpstream>(&loop_);
    second_ = std::make_unique<TestUpstream>(&loop_);
    options_.upstreams = {Upstream{first_->address()}, Upstream{second_->address()}};
  }
  ~UvResolverTest() override {
    Close();
    first_.reset();
    second_.reset();
    uv_run(&loop_, UV_RUN_DEFAULT);
    EXPECT_EQ(uv_loop_close(&loop_), 0) << "a handle is left open";
  }

  UvResolver& resolver() {
    if (resolver_ == nullptr) resolver_ = std::make_unique<UvResolver>(&loop_, options_);
    return *resolver_;
  }
  void Close() {
    if (resolver_ == nullptr) return;
    resolver_->Close([this] { resolver_.reset(); });
    RunUntil([this] { return resolver_ == nullptr; });
  }
  void RunUntil(const std::function<bool()>& condition) {
    while (!condition()) ASSERT_NE(uv_run(&loop_, UV_RUN_ONCE), 0) << "nothing left to wait for";
  }
  UpstreamAnswer Resolve(const UpstreamQuestion& question) {
    std::optional<UpstreamAnswer> answer;
    resolver().Resolve(question, absl::InfinitePast(),
                       [&answer](const UpstreamAnswer& given) { answer = given; });
    RunUntil([&] { return answer.has_value(); });
    return answer.value_or(UpstreamAnswer());
  }

  uv_loop_t loop_;
  std::unique_ptr<TestUpstream> first_, second_;
  ResolverOptions options_;
  std::unique_ptr<UvResolver> resolver_;
};

const UpstreamQuestion kWww = Ask("www.example.");

std::vector<uint8_t> NoReply(Octets /*query*/, bool /*tcp*/) { return {}; }

TEST_F(UvResolverTest, AsksOverUdpAndRemembers) {
  for (int i = 0; i < 2; ++i) {
    const UpstreamAnswer answer = Resolve(kWww);
    EXPECT_EQ(answer.rcode, Rcode::kNoError);
    ASSERT_EQ(answer.answer.size(), 1u);
    EXPECT_EQ(answer.answer[0].owner.ToText(), "www.example.");
  }
  EXPECT_EQ(first_->udp_queries, 1);
  EXPECT_EQ(second_->udp_queries, 0);
  EXPECT_EQ(resolver().counters().queries.value(), 1u);
  EXPECT_EQ(resolver().cache_counters().hits.value(), 1u);
}

TEST_F(UvResolverTest, EachQueryHasAPortOfItsOwn) {
  constexpr int kQueries = 50;
  int answered = 0;
  for (int i = 0; i < kQueries; ++i) {
    resolver().Resolve(Ask(absl::StrFormat("n%d.example.", i)), absl::InfinitePast(),
                       [&answered](const UpstreamAnswer&) { ++answered; });
  }
  RunUntil([&] { return answered == kQueries; });
  EXPECT_EQ(first_->client_ports.size(), size_t{kQueries});
}

TEST_F(UvResolverTest, ARefusedConnectionLeadsToTheNextUpstreamAtOnce) {
  options_.upstream_timeout = absl::Hours(1);
  first_->Close();
  EXPECT_EQ(Resolve(kWww).rcode, Rcode::kNoError);
  EXPECT_EQ(second_->udp_queries, 1);
  EXPECT_EQ(resolver().counters().failures.value(), 1u);
  EXPECT_EQ(resolver().counters().timeouts.value(), 0u);
}

TEST_F(UvResolverTest, ASilentUpstreamIsGivenUpInTime) {
  options_.upstream_timeout = absl::Milliseconds(1);  // Raised to the least there is.
  first_->reply = NoReply;
  EXPECT_EQ(Resolve(kWww).rcode, Rcode::kNoError);
  EXPECT_GE(first_->udp_queries, 1);
  EXPECT_EQ(second_->udp_queries, 1);
  EXPECT_EQ(resolver().counters().timeouts.value(), 1u);
}

TEST_F(UvResolverTest, ATruncatedReplyIsAskedForOverTcp) {
  for (const bool in_pieces : {false, true}) {
    first_->in_pieces = in_pieces;
    first_->reply = [](Octets query, bool tcp) {
      std::vector<std::string> addresses;
      addresses.reserve(1000);
      for (int i = 0; i < 1000; ++i) {
        addresses.push_back(absl::StrFormat("www.example. 0 IN A 10.0.%d.%d", i / 250, i % 250));
      }
      return tcp ? MakeReply(query, {.answer = addresses})
                 : MakeReply(query, {.flags = kFlagQr | kFlagTc});
    };
    EXPECT_EQ(Resolve(kWww).answer.size(), 1000u);
  }
  EXPECT_EQ(first_->tcp_queries, 2);
  EXPECT_EQ(resolver().counters().tcp.value(), 2u);
}

TEST_F(UvResolverTest, ATcpConnectionClosedEarlyLeadsToTheNextUpstream) {
  options_.upstream_timeout = absl::Hours(1);
  first_->reply = [](Octets query, bool tcp) {
    return tcp ? std::vector<uint8_t>() : MakeReply(query, {.flags = kFlagQr | kFlagTc});
  };
  EXPECT_EQ(Resolve(kWww).answer.size(), 1u);
  EXPECT_EQ(first_->tcp_queries, 1);
  EXPECT_EQ(second_->udp_queries, 1);
}

TEST_F(UvResolverTest, OneAnswerMayAskTheNextQuestion) {
  int depth = 0;
  std::function<void(const UpstreamAnswer&)> next = [&](const UpstreamAnswer&) {
    if (++depth < 5) {
      resolver().Resolve(Ask(absl::StrFormat("n%d.example.", depth)), absl::InfinitePast(), next);
    }
  };
  resolver().Resolve(kWww, absl::InfinitePast(), next);
  RunUntil([&] { return depth == 5; });
}

TEST_F(UvResolverTest, NewUpstreamsAreAskedFromTheNextQuestionOn) {
  Resolve(kWww);
  options_.upstreams = {Upstream{second_->address()}};
  resolver().Reconfigure(options_);
  Resolve(Ask("other.example."));
  EXPECT_EQ(second_->udp_queries, 1);
  options_.upstreams.clear();
  resolver().Reconfigure(options_);
  EXPECT_FALSE(resolver().has_upstreams());
  EXPECT_EQ(Resolve(Ask("none.example.")).rcode, Rcode::kServFail);
}

TEST_F(UvResolverTest, ClosingAnswersWhoeverWaits) {
  first_->reply = NoReply;
  int answered = 0;
  const auto count = [&answered](const UpstreamAnswer& answer) {
    EXPECT_EQ(answer.rcode, Rcode::kServFail);
    ++answered;
  };
  for (int i = 0; i < 10; ++i) {
    resolver().Resolve(Ask(absl::StrFormat("n%d.example.", i)), absl::InfinitePast(), count);
  }
  resolver_->Close([this] { resolver_.reset(); });
  EXPECT_EQ(answered, 10);
  resolver_->Resolve(kWww, absl::InfinitePast(), count);
  EXPECT_EQ(answered, 11) << "closed: SERVFAIL at once";
  RunUntil([this] { return resolver_ == nullptr; });
}

TEST_F(UvResolverTest, MayBeClosedByAnAnswer) {
  bool closed = false;
  resolver().Resolve(kWww, absl::InfinitePast(),
                     [&](const UpstreamAnswer&) { resolver_->Close([&] { closed = true; }); });
  RunUntil([&] { return closed; });
  resolver_.reset();
}

}  // namespace
}  // namespace pharos::dns
