#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>

#include "absl/strings/str_format.h"
#include "agent/checks/test_runner.h"
#include "agent/checks/test_server.h"

namespace pharos::agent {
namespace {

using registry::Health;
using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

// Answers by path, and keeps the last request.
class HttpServer {
 public:
  explicit HttpServer(const TestCertificate* certificate = nullptr)
      : server_([this](TestPeer& peer) { Serve(peer); }, certificate) {}

  std::string address() const { return server_.address(); }
  std::string last_request() {
    const std::lock_guard lock(mutex_);
    return request_;
  }

 private:
  void Serve(TestPeer& peer) {
    std::string request;
    while (request.find("\r\n\r\n") == std::string::npos) {
      const std::string more = peer.Read();
      if (more.empty()) return;
      request += more;
    }
    while (request.find("Content-Length: 5") != std::string::npos && !request.ends_with("hello")) {
      request += peer.Read();
    }
    {
      const std::lock_guard lock(mutex_);
      request_ = request;
    }
    const size_t slash = request.find('/');
    Answer(peer, request.substr(slash, request.find(' ', slash) - slash));
  }

  static void Answer(TestPeer& peer, const std::string& path) {
    if (path == "/slow") {
      peer.Read();  // Ends when the client gives up.
    } else if (path == "/moved") {
      peer.Write("HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 5\r\n\r\nthere");
    } else if (path == "/file") {
      peer.Write("HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n");
    } else if (path == "/endless") {
      peer.Write("HTTP/1.1 200 OK\r\n\r\n" + std::string(8 << 20, 'x'));
    } else if (path == "/headers") {
      peer.Write("HTTP/1.1 200 OK\r\n");
      for (int i = 0; i < 100; ++i) peer.Write("X: " + std::string(1000, 'x') + "\r\n");
      peer.Write("\r\n");
    } else if (path == "/garbage") {
      peer.Write("no HTTP at all\r\n\r\n");
    } else if (path == "/429") {
      peer.Write("HTTP/1.1 429 Too Many Requests\r\nContent-Length: 4\r\n\r\nbusy");
    } else if (path == "/500") {
      peer.Write("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 3\r\n\r\nbad");
    } else {
      peer.Write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine");
    }
  }

  std::mutex mutex_;
  std::string request_;
  TestServer server_;
};

TEST(HttpCheck, TakesItsStatusFromTheResponse) {
  HttpServer server;
  TestRunner runner;
  const struct {
    std::string_view shows, path;
    bool disable_redirects;
    Health status;
    testing::Matcher<std::string> output;
  } kRows[] = {
      {"2xx passes", "/ok", false, Health::kPassing, EndsWith("/ok: 200 OK Output: fine")},
      {"429 warns", "/429", false, Health::kWarning,
       EndsWith("/429: 429 Too Many Requests Output: busy")},
      {"anything else is critical", "/500", false, Health::kCritical,
       EndsWith("/500: 500 Internal Server Error Output: bad")},
      {"a redirect is followed", "/moved", false, Health::kPassing,
       EndsWith("/moved: 200 OK Output: fine")},
      {"or not, when told so", "/moved", true, Health::kCritical,
       EndsWith("/moved: 302 Found Output: there")},
      {"but never out of HTTP", "/file", false, Health::kCritical, HasSubstr("rotocol \"file\"")},
      {"a header without end is given up", "/headers", false, Health::kCritical,
       HasSubstr("header is longer than 65536 octets")},
      {"what is not HTTP is critical", "/garbage", false, Health::kCritical, StartsWith("Get \"")},
  };
  for (const auto& row : kRows) {
    CheckDefinition check;
    check.http = absl::StrFormat("http://%s%s", server.address(), row.path);
    check.disable_redirects = row.disable_redirects;
    const CheckReport report = runner.RunOnce(check);
    EXPECT_EQ(report.status, row.status) << row.shows << ": " << report.output;
    EXPECT_THAT(report.output, row.output) << row.shows;
  }
}

TEST(HttpCheck, SendsWhatTheDefinitionSays) {
  HttpServer server;
  TestRunner runner;
  CheckDefinition check;
  check.http = "http://" + server.address() + "/plain";
  EXPECT_EQ(runner.RunOnce(check).status, Health::kPassing);
  EXPECT_THAT(
      server.last_request(),
      AllOf(StartsWith("GET /plain HTTP/1.1\r\nHost: " + server.address() + "\r\n"),
            HasSubstr("\r\nUser-Agent: Consul Health Check\r\n"),
            HasSubstr("\r\nAccept: text/plain, text/*, */*\r\n"), Not(HasSubstr("Content-Type"))));

  check.method = "PUT";
  check.body = "hello";
  check.header = {{"Host", {"web.example"}}, {"X-Two", {"a", "b"}}, {"User-Agent", {"mine"}}};
  EXPECT_EQ(runner.RunOnce(check).status, Health::kPassing);
  EXPECT_THAT(
      server.last_request(),
      AllOf(StartsWith("PUT /plain HTTP/1.1\r\n"), HasSubstr("\r\nHost: web.example\r\n"),
            HasSubstr("\r\nX-Two: a\r\n"), HasSubstr("\r\nX-Two: b\r\n"),
            HasSubstr("\r\nUser-Agent: mine\r\n"), Not(HasSubstr("Consul")), EndsWith("hello")));
}

TEST(HttpCheck, RefusesToSendWhatIsNoHeaderField) {
  TestRunner runner;
  CheckDefinition check;
  check.http = "http://127.0.0.1:1/";
  check.header = {{"X", {"a\r\nY: b"}}};
  EXPECT_THAT(runner.RunOnce(check).output, HasSubstr("field X has more than one line"));
  check.header = {{"X Y", {"a"}}};
  EXPECT_THAT(runner.RunOnce(check).output, HasSubstr("\"X Y\" is no header field name"));
  check.header.clear();
  check.method = "GET /";
  EXPECT_THAT(runner.RunOnce(check).output, HasSubstr("\"GET /\" is no HTTP method"));
}

TEST(HttpCheck, KeepsSoMuchOfTheBodyAndReadsNotToItsEnd) {
  HttpServer server;
  TestRunner runner;
  CheckDefinition check;
  check.http = "http://" + server.address() + "/endless";
  check.output_octets_max = 10;
  const CheckReport report = runner.RunOnce(check);
  EXPECT_EQ(report.status, Health::kPassing);
  EXPECT_THAT(report.output, EndsWith("200 OK Output: xxxxxxxxxx"));
}

TEST(HttpCheck, EndsAtItsTimeout) {
  HttpServer server;
  TestRunner runner;
  CheckDefinition check;
  check.http = "http://" + server.address() + "/slow";
  check.timeout = absl::Milliseconds(50);
  const CheckReport report = runner.RunOnce(check);
  EXPECT_EQ(report.status, Health::kCritical);
  EXPECT_THAT(report.output, HasSubstr("Client.Timeout exceeded"));
  EXPECT_GE(runner.Counts().timeouts, 1u);
}

TEST(HttpCheck, IsCriticalWhenNobodyListens) {
  ClosedPort port;
  TestRunner runner;
  CheckDefinition check;
  check.http = "http://" + port.address() + "/";
  const CheckReport report = runner.RunOnce(check);
  EXPECT_EQ(report.status, Health::kCritical);
  EXPECT_THAT(report.output, StartsWith("Get \"http://" + port.address() + "/\": "));
}

TEST(HttpCheck, VerifiesCertificatesUnlessToldNotTo) {
  const TestCertificate certificate;
  HttpServer server(&certificate);
  RunnerOptions trusting;
  trusting.ca_file = certificate.certificate_file;
  TestRunner runner, trusting_runner(trusting);
  CheckDefinition check;
  check.http = "https://" + server.address() + "/";
  EXPECT_EQ(runner.RunOnce(check).status, Health::kCritical);
  EXPECT_EQ(trusting_runner.RunOnce(check).status, Health::kPassing);
  check.tls_server_name = "localhost";
  EXPECT_EQ(trusting_runner.RunOnce(check).status, Health::kPassing);
  EXPECT_THAT(server.last_request(), HasSubstr("\r\nHost: " + server.address() + "\r\n"));
  check.tls_server_name = "other.example";
  EXPECT_EQ(trusting_runner.RunOnce(check).status, Health::kCritical);
  check.tls_skip_verify = true;
  EXPECT_EQ(runner.RunOnce(check).status, Health::kPassing);
}

}  // namespace
}  // namespace pharos::agent
