// TLS of the server's side (RFC 8446, RFC 5246) by OpenSSL, over octets instead of sockets.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace pharos::http {

struct TlsOptions {
  std::string cert_file, key_file;    // PEM. Both empty: no handshake succeeds.
  std::string ca_file, ca_path;       // Who may sign clients' certificates.
  bool verify_clients = false;        // A client without a good certificate is refused.
  std::string min_version = "tls12";  // tls10, tls11, tls12, tls13, or TLSv1_0 ... TLSv1_3.
  // Names of IANA, with commas between them, for TLS 1.2 and before; empty: OpenSSL's choice.
  std::string cipher_suites;
  bool prefer_server_cipher_suites = false;
};

// What connections share; immutable. Connections keep the context they began with.
using TlsContext = std::shared_ptr<SSL_CTX>;

// Reads the files. Errors are for the operator: which file, and what is wrong with it.
absl::StatusOr<TlsContext> MakeTlsContext(const TlsOptions& options);

// One connection. One thread.
class TlsStream {
 public:
  explicit TlsStream(const TlsContext& context);

  // Takes octets from the client and appends what they say to `plain`. What has to be sent for it
  // is in TakeOutput. False when the connection has failed or the client has ended it; send what
  // there is, and close.
  bool Receive(std::string_view octets, std::string& plain);
  // Encrypts; only after the handshake.
  void Send(std::string_view plain);
  // Says that nothing more will be sent (close_notify).
  void Shutdown();
  // What to send, which is then taken out.
  std::string TakeOutput();

  // After the handshake: why the client's certificate is not good; empty if it is, or if none was
  // asked for. The handshake itself succeeds without one, so that the client can be told in words
  // that it understands; whoever uses the stream refuses its requests.
  std::string ClientProblem() const;

  bool handshake_done() const { return SSL_is_init_finished(ssl_.get()) == 1; }

 private:
  struct Free {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };
  TlsContext context_;
  std::unique_ptr<SSL, Free> ssl_;
};

}  // namespace pharos::http
