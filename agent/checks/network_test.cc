// Checks that ask over TCP, UDP, HTTP/2 and gRPC.
#include <gmock/gmock.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <gtest/gtest.h>
#include <nghttp2/nghttp2.h>
#include <sys/socket.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "agent/checks/test_runner.h"
#include "agent/checks/test_server.h"
#include "base/ip_address.h"
#include "base/octets.h"

namespace pharos::agent {
namespace {

using registry::Health;
using testing::HasSubstr;

void DoNothing(TestPeer&) {}

TEST(TcpCheck, PassesWhenAConnectionComesAbout) {
  TestServer server(DoNothing);
  TestRunner runner;
  CheckDefinition check;
  check.tcp = server.address();
  CheckReport report = runner.RunOnce(check);
  EXPECT_EQ(report.status, Health::kPassing);
  EXPECT_EQ(report.output, "TCP connect " + server.address() + ": Success");
  // Whichever of the name's addresses come first, the one with the server is tried.
  check.tcp = "localhost" + server.address().substr(server.address().find(':'));
  EXPECT_EQ(runner.RunOnce(check).status, Health::kPassing);
}

TEST(TcpCheck, IsCriticalWithTheReasonOtherwise) {
  ClosedPort port;
  TestRunner runner;
  const struct {
    std::string tcp, output;
  } kRows[] = {
      {port.address(), "dial tcp " + port.address() + ": connect: connection refused"},
      {"localhost", "dial tcp: address localhost: expected host:port"},
      {"[::1:80", "dial tcp: address [::1:80: expected host:port"},
  };
  for (const auto& row : kRows) {
    CheckDefinition check;
    check.tcp = row.tcp;
    const CheckReport report = runner.RunOnce(check);
    EXPECT_EQ(report.status, Health::kCritical);
    EXPECT_EQ(report.output, row.output);
  }
}

TEST(TcpCheck, ShakesHandsUnderTls) {
  const TestCertificate certificate;
  TestServer server(DoNothing, &certificate);
  RunnerOptions trusting;
  trusting.ca_file = certificate.certificate_file;
  TestRunner runner, trusting_runner(trusting);
  CheckDefinition check;
  check.tcp = server.address();
  check.tcp_use_tls = true;
  EXPECT_THAT(runner.RunOnce(check).output, HasSubstr("self-signed certificate"));
  EXPECT_EQ(trusting_runner.RunOnce(check).status, Health::kPassing);
  check.tls_server_name = "other.example";
  EXPECT_THAT(trusting_runner.RunOnce(check).output, HasSubstr("ostname mismatch"));
  check.tls_skip_verify = true;
  EXPECT_EQ(runner.RunOnce(check).status, Health::kPassing);
}

TEST(TcpCheck, IsCriticalWhenAPlainServerIsAskedForTls) {
  TestServer server([](TestPeer& peer) { peer.Write("220 no TLS here\r\n"); });
  TestRunner runner;
  CheckDefinition check;
  check.tcp = server.address();
  check.tcp_use_tls = true;
  EXPECT_EQ(runner.RunOnce(check).status, Health::kCritical);
}

// A UDP socket on loopback.
class UdpSocket {
 public:
  UdpSocket() : socket_(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_storage storage{};
    socklen_t length = SocketAddress{.ip = IpAddress::V4({127, 0, 0, 1})}.ToSockaddr(storage);
    EXPECT_EQ(bind(socket_, reinterpret_cast<const sockaddr*>(&storage), length), 0);
    getsockname(socket_, reinterpret_cast<sockaddr*>(&storage), &length);
    address_ = SocketAddress::FromSockaddr(storage).ToString();
  }
  ~UdpSocket() { Close(); }
  UdpSocket(const UdpSocket&) = delete;
  UdpSocket& operator=(const UdpSocket&) = delete;
  void Close() {
    if (socket_ >= 0) close(socket_);
    socket_ = -1;
  }
  std::string address() const { return address_; }

 private:
  int socket_;
  std::string address_;
};

TEST(UdpCheck, PassesUnlessTheDatagramIsRefused) {
  UdpSocket server;
  TestRunner runner;
  CheckDefinition check;
  check.udp = server.address();
  check.timeout = absl::Milliseconds(20);
  CheckReport report = runner.RunOnce(check);
  EXPECT_EQ(report.status, Health::kPassing);
  EXPECT_EQ(report.output, "UDP connect " + server.address() + ": Success");
  EXPECT_GE(runner.Counts().timeouts, 1u) << "silence is known only at the timeout";

  server.Close();
  check.timeout = absl::Seconds(30);
  report = runner.RunOnce(check);
  EXPECT_EQ(report.status, Health::kCritical);
  EXPECT_THAT(report.output, HasSubstr("connection refused"));
}

// Speaks HTTP/2 as far as nghttp2 does by itself: settings and the answers to pings.
void ServeHttp2(TestPeer& peer) {
  nghttp2_session_callbacks* callbacks = nullptr;
  nghttp2_session_callbacks_new(&callbacks);
  nghttp2_session* session = nullptr;
  nghttp2_session_server_new(&session, callbacks, nullptr);
  nghttp2_session_callbacks_del(callbacks);
  nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, nullptr, 0);
  while (true) {
    const uint8_t* octets = nullptr;
    ssize_t count = 0;
    while ((count = nghttp2_session_mem_send(session, &octets)) > 0) {
      peer.Write(AsText({octets, static_cast<size_t>(count)}));
    }
    const std::string received = peer.Read();
    if (received.empty() ||
        nghttp2_session_mem_recv(session, AsOctets(received).data(), received.size()) < 0) {
      break;
    }
  }
  nghttp2_session_del(session);
}

TEST(H2PingCheck, PassesWhenThePingIsAnswered) {
  const TestCertificate certificate;
  TestServer plain(ServeHttp2), secure(ServeHttp2, &certificate);
  RunnerOptions trusting;
  trusting.ca_file = certificate.certificate_file;
  TestRunner runner(trusting);
  CheckDefinition check;
  check.h2ping = secure.address();
  CheckReport report = runner.RunOnce(check);
  EXPECT_EQ(report.status, Health::kPassing) << report.output;
  EXPECT_EQ(report.output, "HTTP2 ping was successful");
  check.h2ping = plain.address();
  check.h2ping_use_tls = false;
  EXPECT_EQ(runner.RunOnce(check).status, Health::kPassing);
}

TEST(H2PingCheck, IsCriticalOtherwise) {
  TestServer http1([](TestPeer& peer) { peer.Write("HTTP/1.1 400 Bad Request\r\n\r\n"); });
  TestServer silent([](TestPeer& peer) {
    while (!peer.Read().empty()) continue;
  });
  ClosedPort port;
  TestRunner runner;
  const struct {
    std::string address, why;
  } kRows[] = {
      {http1.address(), ""},
      {silent.address(), "i/o timeout"},
      {port.address(), "connection refused"},
  };
  for (const auto& row : kRows) {
    CheckDefinition check;
    check.h2ping = row.address;
    check.h2ping_use_tls = false;
    check.timeout = absl::Milliseconds(200);
    const CheckReport report = runner.RunOnce(check);
    EXPECT_EQ(report.status, Health::kCritical);
    EXPECT_THAT(report.output, HasSubstr("HTTP2 ping to " + row.address + " failed: "));
    EXPECT_THAT(report.output, HasSubstr(row.why));
  }
}

// gRPC's own health service on loopback.
class GrpcServer {
 public:
  explicit GrpcServer(const std::shared_ptr<::grpc::ServerCredentials>& credentials) {
    ::grpc::EnableDefaultHealthCheckService(true);
    ::grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", credentials, &port_);
    builder.RegisterCallbackGenericService(&other_);  // Without one gRPC does not start.
    server_ = builder.BuildAndStart();
    server_->GetHealthCheckService()->SetServingStatus("up", true);
    server_->GetHealthCheckService()->SetServingStatus("down", false);
  }
  std::string address() const { return absl::StrCat("127.0.0.1:", port_); }

 private:
  int port_ = 0;
  ::grpc::CallbackGenericService other_;
  std::unique_ptr<::grpc::Server> server_;
};

TEST(GrpcCheck, PassesWhenTheServiceIsServing) {
  GrpcServer server(::grpc::InsecureServerCredentials());
  ClosedPort port;
  TestRunner runner;
  const struct {
    std::string grpc;
    Health status;
    std::string why;
  } kRows[] = {
      {server.address(), Health::kPassing, "success"},
      {server.address() + "/up", Health::kPassing, "success"},
      {server.address() + "/down", Health::kCritical, "NOT_SERVING"},
      {server.address() + "/unknown", Health::kCritical, "unknown"},
      {port.address(), Health::kCritical, "onnect"},
  };
  for (const auto& row : kRows) {
    CheckDefinition check;
    check.grpc = row.grpc;
    const CheckReport report = runner.RunOnce(check);
    EXPECT_EQ(report.status, row.status) << report.output;
    EXPECT_THAT(report.output, testing::StartsWith("gRPC check " + row.grpc + ": "));
    EXPECT_THAT(report.output, HasSubstr(row.why));
  }
}

TEST(GrpcCheck, SpeaksTlsAndVerifiesUnlessToldNotTo) {
  const TestCertificate certificate;
  ::grpc::SslServerCredentialsOptions tls;
  tls.pem_key_cert_pairs.push_back({certificate.key_pem, certificate.certificate_pem});
  GrpcServer server(::grpc::SslServerCredentials(tls));
  RunnerOptions trusting;
  trusting.ca_file = certificate.certificate_file;
  TestRunner runner, trusting_runner(trusting);
  CheckDefinition check;
  check.grpc = server.address();
  check.grpc_use_tls = true;
  EXPECT_EQ(runner.RunOnce(check).status, Health::kCritical);
  EXPECT_EQ(trusting_runner.RunOnce(check).status, Health::kPassing);
  check.tls_skip_verify = true;
  EXPECT_EQ(runner.RunOnce(check).status, Health::kPassing);
}

TEST(GrpcCheck, CanBeGivenUpWhileItConnects) {
  TestServer silent([](TestPeer& peer) {
    while (!peer.Read().empty()) continue;
  });
  TestRunner runner;
  CheckDefinition check;
  check.grpc = silent.address();
  check.timeout = absl::Milliseconds(200);
  const CheckReport report = runner.RunOnce(check);
  EXPECT_EQ(report.status, Health::kCritical);
  EXPECT_THAT(report.output, HasSubstr("gRPC check " + silent.address() + ": "));
}

}  // namespace
}  // namespace pharos::agent
