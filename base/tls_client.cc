#include "base/tls_client.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <array>

#include "absl/strings/str_format.h"
#include "base/check.h"
#include "base/ip_address.h"
#include "base/status_macros.h"

namespace pharos {
namespace {

constexpr std::array<uint8_t, 3> kOfferHttp2 = {2, 'h', '2'};

// The last error that OpenSSL put aside on this thread, or `otherwise`.
std::string LastError(std::string_view otherwise) {
  const uint64_t code = ERR_peek_last_error();
  ERR_clear_error();
  if (code == 0) return std::string(otherwise);
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : std::string(otherwise);
}

absl::Status FileError(const std::string& path) {
  return absl::FailedPreconditionError(
      absl::StrFormat("TLS: cannot use %s: %s", path, LastError("not what was expected")));
}

bool SetServerName(SSL* ssl, const std::string& name) {
  if (IpAddress::Parse(name)) {
    return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name.c_str()) == 1;
  }
  // SSL_set_tlsext_host_name, a macro, without its C cast.
  return SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                  const_cast<char*>(name.c_str())) == 1 &&
         SSL_set1_host(ssl, name.c_str()) == 1;
}

}  // namespace

absl::StatusOr<std::unique_ptr<TlsSession>> TlsSession::Make(SSL_CTX* context,
                                                             const TlsRequest& request) {
  SSL* ssl = SSL_new(context);
  CHECK(ssl != nullptr);
  std::unique_ptr<TlsSession> session(new TlsSession(ssl));
  session->from_peer_ = BIO_new(BIO_s_mem());
  session->to_peer_ = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl, session->from_peer_, session->to_peer_);
  SSL_set_connect_state(ssl);
  SSL_set_verify(ssl, request.skip_verify ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, nullptr);
  if (!SetServerName(ssl, request.server_name)) {
    ERR_clear_error();
    return absl::InvalidArgumentError(
        absl::StrFormat("TLS: \"%s\" is no server name", request.server_name));
  }
  session->http2_ = request.http2;
  if (request.http2) SSL_set_alpn_protos(ssl, kOfferHttp2.data(), kOfferHttp2.size());
  return session;
}

absl::Status TlsSession::Receive(Octets wire, std::string& plain) {
  ERR_clear_error();  // What SSL_get_error says depends on it.
  if (!wire.empty()) BIO_write(from_peer_, wire.data(), static_cast<int>(wire.size()));
  if (!connected_) {
    const int handshake = SSL_do_handshake(ssl_.get());
    if (handshake != 1) {
      return SSL_get_error(ssl_.get(), handshake) == SSL_ERROR_WANT_READ ? absl::OkStatus()
                                                                         : Failure();
    }
    const uint8_t* protocol = nullptr;
    unsigned octets = 0;
    SSL_get0_alpn_selected(ssl_.get(), &protocol, &octets);
    if (http2_ && AsText({protocol, octets}) != "h2") {
      return absl::UnavailableError("TLS: the peer does not speak HTTP/2 (ALPN h2)");
    }
    connected_ = true;
  }
  std::array<char, 4096> buffer;
  while (true) {
    const int got = SSL_read(ssl_.get(), buffer.data(), buffer.size());
    if (got > 0) {
      plain.append(buffer.data(), static_cast<size_t>(got));
      continue;
    }
    const int error = SSL_get_error(ssl_.get(), got);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_ZERO_RETURN) return absl::OkStatus();
    return Failure();
  }
}

absl::Status TlsSession::Send(std::string_view plain) {
  if (plain.empty()) return absl::OkStatus();
  ERR_clear_error();
  const int sent = SSL_write(ssl_.get(), plain.data(), static_cast<int>(plain.size()));
  return sent > 0 ? absl::OkStatus() : Failure();
}

std::string TlsSession::TakeOutput() {
  std::string output(BIO_ctrl_pending(to_peer_), '\0');
  if (!output.empty()) BIO_read(to_peer_, output.data(), static_cast<int>(output.size()));
  return output;
}

absl::Status TlsSession::Failure() const {
  const auto verified = SSL_get_verify_result(ssl_.get());
  const std::string why = LastError("the connection broke");
  if (verified != X509_V_OK && SSL_get_verify_mode(ssl_.get()) != SSL_VERIFY_NONE) {
    return absl::UnavailableError(
        absl::StrFormat("TLS: %s: %s", why, X509_verify_cert_error_string(verified)));
  }
  return absl::UnavailableError(absl::StrFormat("TLS: %s", why));
}

absl::StatusOr<std::unique_ptr<TlsSession>> TlsClient::NewSession(const TlsRequest& request) {
  RETURN_IF_ERROR(Prepare());
  return TlsSession::Make(context_.get(), request);
}

absl::Status TlsClient::Prepare() {
  if (context_ != nullptr) return absl::OkStatus();
  absl::Status loaded = Load();
  if (!loaded.ok()) context_.reset();  // The file may be there the next time.
  return loaded;
}

absl::Status TlsClient::Load() {
  ERR_clear_error();
  context_.reset(SSL_CTX_new(TLS_client_method()));
  SSL_CTX* context = context_.get();
  CHECK(context != nullptr);
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  if (files_.ca_file.empty() && files_.ca_path.empty()) {
    SSL_CTX_set_default_verify_paths(context);
  }
  if (!files_.ca_file.empty() && SSL_CTX_load_verify_file(context, files_.ca_file.c_str()) != 1) {
    return FileError(files_.ca_file);
  }
  if (!files_.ca_path.empty() && SSL_CTX_load_verify_dir(context, files_.ca_path.c_str()) != 1) {
    return FileError(files_.ca_path);
  }
  if (!files_.cert_file.empty() &&
      SSL_CTX_use_certificate_chain_file(context, files_.cert_file.c_str()) != 1) {
    return FileError(files_.cert_file);
  }
  if (!files_.key_file.empty() &&
      SSL_CTX_use_PrivateKey_file(context, files_.key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
    return FileError(files_.key_file);
  }
  return absl::OkStatus();
}

}  // namespace pharos
