#include "dns/server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "base/check.h"

namespace pharos::dns {
namespace {

// Answers each message with itself; what begins with "late" is answered when told, and what begins
// with "drop" never.
class Echo : public ThreadHandler {
 public:
  void BeginBatch() override { ++batches; }
  void EndBatch() override {}
  std::optional<size_t> Handle(Octets request, const ReplyPath& path,
                               MutableOctets reply) override {
    const std::string text(AsText(request));
    if (text.starts_with("drop")) return 0;
    if (text.starts_with("late")) {
      late.emplace_back(path, text);
      return std::nullopt;
    }
    std::copy(request.begin(), request.end(), reply.begin());
    if (text.starts_with("big!")) {
      std::fill_n(reply.begin(), 60000, uint8_t{'B'});
      return 60000;
    }
    if (text.starts_with("send")) {  // Answers what is late, the newest first, then itself.
      for (; !late.empty(); late.pop_back()) {
        late.back().first.listener->Send(late.back().first, AsOctets(late.back().second));
      }
    }
    return request.size();
  }
  void Close(std::function<void()> closed) override { closed(); }

  std::vector<std::pair<ReplyPath, std::string>> late;
  int batches = 0;
};

class Client {
 public:
  Client(const SocketAddress& server, int type) {
    const int family = server.ip.is_v4() ? AF_INET : AF_INET6;
    fd_ = socket(family, type, 0);
    const timeval patience{.tv_sec = 10, .tv_usec = 0};  // Only a failing test waits for it.
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sockaddr_storage storage;
    const socklen_t size = server.ToSockaddr(storage);
    CHECK(connect(fd_, reinterpret_cast<sockaddr*>(&storage), size) == 0);
  }
  ~Client() { close(fd_); }
  void Send(std::string_view text) {
    CHECK(send(fd_, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size()));
  }
  void SendFramed(std::string_view text) { Send(Frame(text)); }
  static std::string Frame(std::string_view text) {
    return std::string{static_cast<char>(text.size() >> 8), static_cast<char>(text.size())} +
           std::string(text);
  }
  // Empty: closed by the server, or nothing came.
  std::string Receive(size_t octets_max = 65536) {
    std::string text(octets_max, 0);
    const ssize_t got = recv(fd_, text.data(), text.size(), 0);
    text.resize(got < 0 ? 0 : static_cast<size_t>(got));
    return text;
  }
  std::string ReceiveFramed() {
    const std::string length = ReceiveAll(2);
    if (length.size() < 2) return "";
    return ReceiveAll(static_cast<size_t>(static_cast<uint8_t>(length[0])) << 8 |
                      static_cast<uint8_t>(length[1]));
  }
  int fd() const { return fd_; }

 private:
  std::string ReceiveAll(size_t octets) {
    std::string text;
    while (text.size() < octets) {
      const std::string piece = Receive(octets - text.size());
      if (piece.empty()) break;
      text += piece;
    }
    return text;
  }
  int fd_;
};

struct TestServer {
  explicit TestServer(std::string_view address = "127.0.0.1", TcpLimits limits = {}) {
    auto started =
        Server::Start({.addresses = {{*IpAddress::Parse(address), 0}}, .threads = 1, .tcp = limits},
                      [this](Loop&, int) {
                        auto handler = std::make_unique<Echo>();
                        echo = handler.get();
                        return handler;
                      });
    CHECK(started.ok());
    server = *std::move(started);
  }
  SocketAddress address() const { return server->addresses()[0]; }

  Echo* echo = nullptr;
  std::unique_ptr<Server> server;
};

TEST(Server, AnswersOverUdpAndTcpOnTheSamePort) {
  for (const char* ip : {"127.0.0.1", "::1"}) {
    const TestServer test(ip);
    Client udp(test.address(), SOCK_DGRAM);
    udp.Send("hello over udp");
    EXPECT_EQ(udp.Receive(), "hello over udp");
    Client tcp(test.address(), SOCK_STREAM);
    tcp.SendFramed("hello over tcp");
    EXPECT_EQ(tcp.ReceiveFramed(), "hello over tcp");
  }
}

TEST(Server, AnswersEveryDatagramOfABurstAndIgnoresTooShortOnes) {
  const TestServer test;
  Client udp(test.address(), SOCK_DGRAM);
  udp.Send("short");
  for (int i = 0; i < 150; ++i) udp.Send("datagram number " + std::to_string(i));
  for (int i = 0; i < 150; ++i) EXPECT_EQ(udp.Receive(), "datagram number " + std::to_string(i));
  test.server->ForEachThread([](ThreadHandler&, int) {});  // What was sent is counted by then.
  test.server->ForEachListener([](const UdpCounters& u, const TcpCounters&) {
    EXPECT_EQ(u.too_short.value(), 1u);
    EXPECT_EQ(u.replies.sent.value(), 150u);
  });
}

// The thread is kept from its socket until the socket's queue is full.
TEST(Server, CountsWhatTheKernelDropped) {
  const TestServer test;
  Client udp(test.address(), SOCK_DGRAM);
  constexpr uint64_t kMany = 20'000;
  test.server->ForEachThread([&](ThreadHandler&, int) {
    const std::string large(4000, 'x');
    for (uint64_t i = 0; i < kMany; ++i) udp.Send(large);
  });
  uint64_t received = 0, dropped = 0;
  while (received + dropped < kMany) {
    test.server->ForEachThread([](ThreadHandler&, int) {});  // A turn of its loop has passed.
    test.server->ForEachListener([&](const UdpCounters& u, const TcpCounters&) {
      received = u.received.value();
      dropped = u.kernel_dropped.value();
    });
  }
  EXPECT_GT(dropped, 0u);
  EXPECT_EQ(received + dropped, kMany);
}

// A first flood makes the listener ask for times of arrival. What comes then while the thread is
// kept away for longer than clients have patience is shed, and what comes later is answered.
TEST(Server, ShedsWhatHasWaitedTooLongUnderOverload) {
  const TestServer test;
  Client udp(test.address(), SOCK_DGRAM);
  const auto flood = [&](absl::Duration away) {
    test.server->ForEachThread([&](ThreadHandler&, int) {
      for (size_t i = 0; i < UdpListener::kBatch * UdpListener::kBatchesPerTurn; ++i) {
        udp.Send("one of a flood");
      }
      absl::SleepFor(away);
    });
  };
  uint64_t shed = 0, kernel_dropped = 0;
  // The kernel begins to stamp in its own time, so that once may not be enough.
  for (int i = 0; i < 50 && shed == 0; ++i) {
    flood(Backlog::kPatience + absl::Milliseconds(1));
    test.server->ForEachListener([&](const UdpCounters& u, const TcpCounters&) {
      shed = u.shed.value();
      kernel_dropped = u.kernel_dropped.value();
    });
  }
  // Where net.core.rmem_max is small, a queue never holds a turn's worth of datagrams.
  if (shed == 0 && kernel_dropped > 0) GTEST_SKIP() << "the socket's queue is too short";
  EXPECT_GT(shed, 0u);
  // As clients do, it asks again where the replies to the flood left no room for this one.
  std::string reply;
  for (int i = 0; i < 5 && reply != "asked in good time"; ++i) {
    udp.Send("asked in good time");
    do reply = udp.Receive();
    while (reply == "one of a flood");
  }
  EXPECT_EQ(reply, "asked in good time");
}

TEST(Server, LargeRepliesOfOneBatchAllArrive) {
  const TestServer test;
  Client udp(test.address(), SOCK_DGRAM);
  const int room = 4 << 20;
  setsockopt(udp.fd(), SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  for (int i = 0; i < 3; ++i) udp.Send("big! and more");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(udp.Receive().size(), 60000u);
}

// The client has connected its socket, so a reply from another address would never reach it.
TEST(Server, OnAWildcardAddressRepliesLeaveFromTheAddressAsked) {
  const TestServer test("0.0.0.0");
  for (const char* asked : {"127.0.0.1", "127.0.0.2", "127.9.9.9"}) {
    Client udp({*IpAddress::Parse(asked), test.address().port}, SOCK_DGRAM);
    udp.Send("where does it come from");
    EXPECT_EQ(udp.Receive(), "where does it come from") << asked;
    udp.Send("late and from the same");
    udp.Send("send it now, please");
    EXPECT_EQ(udp.Receive(), "late and from the same") << asked;
    EXPECT_EQ(udp.Receive(), "send it now, please") << asked;
  }
}

TEST(Server, TcpMessagesMayComeInPiecesOrTogether) {
  const TestServer test;
  Client tcp(test.address(), SOCK_STREAM);
  for (const char octet : Client::Frame("in pieces of one octet")) tcp.Send({&octet, 1});
  EXPECT_EQ(tcp.ReceiveFramed(), "in pieces of one octet");
  std::string together;
  for (int i = 0; i < 300; ++i) together += Client::Frame("pipelined " + std::to_string(i) + "...");
  tcp.Send(together);
  for (int i = 0; i < 300; ++i) {
    EXPECT_EQ(tcp.ReceiveFramed(), "pipelined " + std::to_string(i) + "...");
  }
}

// RFC 7766 section 6.2.1.1.
TEST(Server, TcpAnswersThatAreReadyDoNotWaitForOthers) {
  const TestServer test;
  Client tcp(test.address(), SOCK_STREAM);
  tcp.SendFramed("late answer 1");
  tcp.SendFramed("late answer 2");
  tcp.SendFramed("quick answer");
  EXPECT_EQ(tcp.ReceiveFramed(), "quick answer");
  tcp.SendFramed("send the rest");
  EXPECT_EQ(tcp.ReceiveFramed(), "late answer 2");
  EXPECT_EQ(tcp.ReceiveFramed(), "late answer 1");
  EXPECT_EQ(tcp.ReceiveFramed(), "send the rest");
}

TEST(Server, AClientThatSaidItAllStillGetsItsAnswers) {
  const TestServer test;
  Client tcp(test.address(), SOCK_STREAM), other(test.address(), SOCK_STREAM);
  tcp.SendFramed("late answer 0");
  tcp.SendFramed("first answer");
  shutdown(tcp.fd(), SHUT_WR);
  EXPECT_EQ(tcp.ReceiveFramed(), "first answer");
  other.SendFramed("send it now, please");
  EXPECT_EQ(tcp.ReceiveFramed(), "late answer 0");
  EXPECT_EQ(tcp.Receive(), "");  // Then the server closes.
}

TEST(Server, AnAnswerForAClientThatLeftGoesNowhere) {
  const TestServer test;
  {
    Client tcp(test.address(), SOCK_STREAM);
    tcp.SendFramed("late answer 0");
    tcp.SendFramed("first answer");
    EXPECT_EQ(tcp.ReceiveFramed(), "first answer");
  }
  Client other(test.address(), SOCK_STREAM);
  other.SendFramed("send it now, please");
  EXPECT_EQ(other.ReceiveFramed(), "send it now, please");
}

// What gets no answer is not waited for: neither are later queries held back, nor the connection
// kept open.
TEST(Server, TcpMessagesThatGetNoAnswerAreDoneWith) {
  const TestServer test;
  Client tcp(test.address(), SOCK_STREAM);
  std::string together;
  for (int i = 0; i < 300; ++i) together += Client::Frame("drop this one");
  tcp.Send(together + Client::Frame("and answer this"));
  EXPECT_EQ(tcp.ReceiveFramed(), "and answer this");
  shutdown(tcp.fd(), SHUT_WR);
  EXPECT_EQ(tcp.Receive(), "");
}

// RFC 7766 section 6.2.3: a connection is idle only when nothing is outstanding.
TEST(Server, AConnectionThatWaitsForAnAnswerIsNotIdle) {
  const TestServer test("127.0.0.1", {.idle_timeout = absl::Milliseconds(20)});
  Client tcp(test.address(), SOCK_STREAM);
  tcp.SendFramed("late answer 0");
  // Others come and are closed meanwhile, so the sweep has seen the one that waits.
  for (int i = 0; i < 3; ++i) {
    Client idle(test.address(), SOCK_STREAM);
    EXPECT_EQ(idle.Receive(), "");
  }
  Client other(test.address(), SOCK_STREAM);
  other.SendFramed("send it now, please");
  EXPECT_EQ(tcp.ReceiveFramed(), "late answer 0");
}

TEST(Server, TcpConnectionsAreClosedWhenIdleAndWhenMalformed) {
  const TestServer test("127.0.0.1", {.idle_timeout = absl::Milliseconds(20)});
  Client idle(test.address(), SOCK_STREAM);
  EXPECT_EQ(idle.Receive(), "");
  Client half(test.address(), SOCK_STREAM);
  half.Send(Client::Frame("never completed").substr(0, 5));
  EXPECT_EQ(half.Receive(), "");
  const TestServer patient;
  Client malformed(patient.address(), SOCK_STREAM);
  malformed.SendFramed("tiny");
  EXPECT_EQ(malformed.Receive(), "");
}

TEST(Server, AtTheConnectionCapTheLongestIdleOneGoes) {
  const TestServer test("127.0.0.1", {.connections_max = 2});
  Client first(test.address(), SOCK_STREAM);
  first.SendFramed("first is here");
  EXPECT_EQ(first.ReceiveFramed(), "first is here");
  Client second(test.address(), SOCK_STREAM), third(test.address(), SOCK_STREAM);
  third.SendFramed("third is here");
  EXPECT_EQ(third.ReceiveFramed(), "third is here");
  test.server->ForEachListener(
      [](const UdpCounters&, const TcpCounters& t) { EXPECT_EQ(t.closed_at_cap.value(), 1u); });
}

// RFC 7766 section 6.2.3: a new connection is worth more than one that is idle.
TEST(Server, AtAClientsCapItsOwnLongestIdleConnectionGoes) {
  const TestServer test("127.0.0.1", {.connections_per_client_max = 2});
  const auto connect = [&] {
    auto client = std::make_unique<Client>(test.address(), SOCK_STREAM);
    client->SendFramed("here I am, says it");
    EXPECT_EQ(client->ReceiveFramed(), "here I am, says it");
    return client;
  };
  const auto first = connect(), second = connect(), third = connect();
  EXPECT_EQ(first->Receive(), "") << "closed, as it was idle longest";
  second->SendFramed("still here, isn't it");
  EXPECT_EQ(second->ReceiveFramed(), "still here, isn't it");
  test.server->ForEachListener([](const UdpCounters&, const TcpCounters& t) {
    EXPECT_EQ(t.closed_at_client_cap.value(), 1u);
    EXPECT_EQ(t.closed_at_cap.value(), 0u);
  });
}

TEST(Server, AClientWhoseConnectionsAreAllAtWorkGetsNoFurtherOne) {
  const TestServer test("127.0.0.1", {.connections_per_client_max = 1});
  Client working(test.address(), SOCK_STREAM);
  working.SendFramed("late answer 0");
  working.SendFramed("quick answer");
  EXPECT_EQ(working.ReceiveFramed(), "quick answer");
  Client refused(test.address(), SOCK_STREAM);
  EXPECT_EQ(refused.Receive(), "");
  working.SendFramed("send what is late");
  EXPECT_EQ(working.ReceiveFramed(), "late answer 0");
  EXPECT_EQ(working.ReceiveFramed(), "send what is late");
  test.server->ForEachListener([](const UdpCounters&, const TcpCounters& t) {
    EXPECT_EQ(t.refused_at_client_cap.value(), 1u);
  });
}

TEST(Server, IdleConnectionsGoSoonerWhenManyAreOpen) {
  // With all places taken, an idle one has a twentieth of the time-out.
  const TestServer test("127.0.0.1", {.idle_timeout = absl::Seconds(20), .connections_max = 3});
  const auto connect = [&] {
    auto client = std::make_unique<Client>(test.address(), SOCK_STREAM);
    client->SendFramed("here I am, says it");
    EXPECT_EQ(client->ReceiveFramed(), "here I am, says it");
    return client;
  };
  const auto working = connect();
  working->SendFramed("late answer 0");
  const auto second = connect(), third = connect();
  EXPECT_EQ(second->Receive(), "") << "long before the time-out has passed";
  test.server->ForEachListener([](const UdpCounters&, const TcpCounters& t) {
    EXPECT_GE(t.closed_under_pressure.value(), 1u);
    EXPECT_EQ(t.closed_idle.value(), 0u);
  });
}

// A client that does not read is not read from either, and what it is owed stays bounded.
TEST(Server, ASlowReaderIsHeldAtTheBoundAndThenServed) {
  const TestServer test("127.0.0.1", {.unsent_octets_max = 200'000});
  Client tcp(test.address(), SOCK_STREAM);
  constexpr int kQuestions = 400;  // 24 MB of answers, far more than the sockets hold.
  std::string together;
  for (int i = 0; i < kQuestions; ++i) together += Client::Frame("big! and more");
  tcp.Send(together);
  for (int i = 0; i < kQuestions; ++i) ASSERT_EQ(tcp.ReceiveFramed().size(), 60000u) << i;
}

TEST(Server, AnAddressThatIsTakenIsRefusedWithOneClearLine) {
  const TestServer first;
  const auto second = Server::Start({.addresses = {first.address()}, .threads = 1, .tcp = {}},
                                    [](Loop&, int) { return std::make_unique<Echo>(); });
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().message(),
            "cannot listen on udp " + first.address().ToString() + ": address already in use");
}

TEST(Server, SeveralThreadsServeOneAddress) {
  auto started =
      Server::Start({.addresses = {{*IpAddress::Parse("127.0.0.1"), 0}}, .threads = 3, .tcp = {}},
                    [](Loop&, int) { return std::make_unique<Echo>(); });
  ASSERT_TRUE(started.ok());
  for (int i = 0; i < 30; ++i) {
    Client udp((*started)->addresses()[0], SOCK_DGRAM);
    udp.Send("whichever thread");
    EXPECT_EQ(udp.Receive(), "whichever thread");
  }
  int visited = 0;
  (*started)->ForEachThread([&](ThreadHandler&, int thread) { visited += thread + 1; });
  EXPECT_EQ(visited, 6);
}

}  // namespace
}  // namespace pharos::dns
