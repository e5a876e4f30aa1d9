// A small TCP server on loopback, one connection after the other, for tests. It speaks TLS with a
// certificate made for it when asked to.
#pragma once

#include <openssl/ssl.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

namespace pharos::agent {

// The server's end of one connection. Calls wait.
class TestPeer {
 public:
  TestPeer(int fd, SSL* ssl) : fd_(fd), ssl_(ssl) {}
  // What came; empty once the client has closed.
  std::string Read();
  void Write(std::string_view octets);

 private:
  int fd_;
  SSL* ssl_;  // Null: plain.
};

// A key and a certificate that signs itself, for `localhost` and 127.0.0.1.
struct TestCertificate {
  TestCertificate();
  std::string key_pem, certificate_pem;
  std::string certificate_file;  // In the test's directory.
};

class TestServer {
 public:
  using Serve = std::function<void(TestPeer&)>;

  // `certificate` null: plain TCP. `serve` is called on the server's thread for each connection.
  explicit TestServer(Serve serve, const TestCertificate* certificate = nullptr);
  // Waits for the last connection's `serve`.
  ~TestServer();
  TestServer(const TestServer&) = delete;
  TestServer& operator=(const TestServer&) = delete;

  // `127.0.0.1:port`
  std::string address() const { return address_; }

 private:
  void Run(const Serve& serve);

  int listener_;
  std::string address_;
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> tls_;
  std::thread thread_;
};

// A port of 127.0.0.1 on which nobody listens, as `127.0.0.1:port`: held by a bound socket of its
// type (SOCK_STREAM) for as long as this lives.
class ClosedPort {
 public:
  ClosedPort();
  ~ClosedPort();
  ClosedPort(const ClosedPort&) = delete;
  ClosedPort& operator=(const ClosedPort&) = delete;
  std::string address() const { return address_; }

 private:
  int socket_;
  std::string address_;
};

}  // namespace pharos::agent
