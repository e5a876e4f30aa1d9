// TLS by OpenSSL for connections that we make, apart from any socket: octets in, octets out.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/checks/endpoint.h"
#include "agent/checks/options.h"
#include "agent/config/definition.h"
#include "base/octets.h"

namespace pharos::agent {

struct TlsRequest {
  std::string server_name{};  // Asked for (unless an address) and verified.
  bool skip_verify = false;
  bool http2 = false;  // Offer h2 by ALPN (RFC 7301), and insist on it.
};

// For a check of `endpoint`: its definition's server name, else the host.
TlsRequest TlsRequestOf(const CheckDefinition& definition, const Endpoint& endpoint);

// One connection.
class TlsSession {
 public:
  // `context` need not outlive it: OpenSSL counts references.
  static absl::StatusOr<std::unique_ptr<TlsSession>> Make(SSL_CTX* context,
                                                          const TlsRequest& request);

  // Takes octets from the peer (none: begins) and appends what they say to `plain`. Unavailable
  // says why the handshake or the connection failed.
  absl::Status Receive(Octets wire, std::string& plain);
  // Encrypts; once connected().
  absl::Status Send(std::string_view plain);
  // The octets to send to the peer now; nothing if there are none.
  std::string TakeOutput();
  bool connected() const { return connected_; }

 private:
  explicit TlsSession(SSL* ssl) : ssl_(ssl, &SSL_free) {}
  absl::Status Failure() const;

  std::unique_ptr<SSL, decltype(&SSL_free)> ssl_;
  BIO* from_peer_ = nullptr;  // Owned by ssl_, as is the next.
  BIO* to_peer_ = nullptr;
  bool http2_ = false;
  bool connected_ = false;
};

// What our connections have in common: whom we trust and who we are, read when first needed.
class TlsClient {
 public:
  // `options` is borrowed.
  explicit TlsClient(const RunnerOptions& options)
      : options_(options), context_(nullptr, &SSL_CTX_free) {}

  // FailedPrecondition names the file that cannot be used.
  absl::StatusOr<std::unique_ptr<TlsSession>> NewSession(const TlsRequest& request);

 private:
  absl::Status Load();

  const RunnerOptions& options_;
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
};

}  // namespace pharos::agent
