// TLS by OpenSSL for connections that we make, apart from any socket: octets in, octets out.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/octets.h"

namespace pharos {

struct TlsRequest {
  std::string server_name{};  // Asked for (unless an address) and verified.
  bool skip_verify = false;
  bool http2 = false;  // Offer h2 by ALPN (RFC 7301), and insist on it.
};

// PEM files: the authorities trusted (none: the system's) and the certificate shown (none: none).
struct TlsClientFiles {
  std::string ca_file, ca_path, cert_file, key_file;
  friend bool operator==(const TlsClientFiles&, const TlsClientFiles&) = default;
};

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
  explicit TlsClient(TlsClientFiles files)
      : files_(std::move(files)), context_(nullptr, &SSL_CTX_free) {}

  // FailedPrecondition names the file that cannot be used.
  absl::StatusOr<std::unique_ptr<TlsSession>> NewSession(const TlsRequest& request);
  // Reads the files now, unless they have been.
  absl::Status Prepare();

 private:
  absl::Status Load();

  TlsClientFiles files_;
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
};

}  // namespace pharos
