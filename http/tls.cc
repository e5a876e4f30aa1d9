#include "http/tls.h"

#include <openssl/err.h>

#include <array>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "base/check.h"
#include "base/status_macros.h"

namespace pharos::http {
namespace {

constexpr size_t kRecordOctetsMax = size_t{16} * 1024;  // RFC 8446 section 5.1.

// What OpenSSL has to say of the last failure.
std::string TakeError() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason == nullptr ? "unknown error" : reason;
}

std::optional<int> VersionOf(std::string_view name) {
  if (name == "tls10" || name == "TLSv1_0") return TLS1_VERSION;
  if (name == "tls11" || name == "TLSv1_1") return TLS1_1_VERSION;
  if (name == "tls12" || name == "TLSv1_2" || name.empty()) return TLS1_2_VERSION;
  if (name == "tls13" || name == "TLSv1_3") return TLS1_3_VERSION;
  return std::nullopt;
}

// We speak HTTP/1.1 alone (RFC 7301).
int SelectProtocol(SSL*, const unsigned char** out, unsigned char* out_octets,
                   const unsigned char* offered, unsigned offered_octets, void*) {
  static constexpr std::array<unsigned char, 9> kHttp11 = {8,   'h', 't', 't', 'p',
                                                           '/', '1', '.', '1'};
  unsigned char* selected = nullptr;
  if (SSL_select_next_proto(&selected, out_octets, kHttp11.data(), kHttp11.size(), offered,
                            offered_octets) != OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_NOACK;
  }
  *out = selected;
  return SSL_TLSEXT_ERR_OK;
}

absl::Status UseCertificate(const TlsOptions& options, SSL_CTX* context) {
  if (SSL_CTX_use_certificate_chain_file(context, options.cert_file.c_str()) != 1) {
    return absl::InvalidArgumentError(
        absl::StrFormat("cert_file \"%s\" cannot be used: %s; expected a certificate in PEM",
                        options.cert_file, TakeError()));
  }
  if (SSL_CTX_use_PrivateKey_file(context, options.key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "key_file \"%s\" cannot be used: %s; expected the private key of cert_file in PEM",
        options.key_file, TakeError()));
  }
  return absl::OkStatus();
}

absl::Status UseAuthorities(const TlsOptions& options, SSL_CTX* context) {
  if (options.ca_file.empty() && options.ca_path.empty()) {
    return absl::InvalidArgumentError(
        "clients are to be verified, but neither ca_file nor ca_path says who may sign their "
        "certificates");
  }
  if (!options.ca_file.empty()) {
    if (SSL_CTX_load_verify_file(context, options.ca_file.c_str()) != 1) {
      return absl::InvalidArgumentError(
          absl::StrFormat("ca_file \"%s\" cannot be used: %s; expected certificates in PEM",
                          options.ca_file, TakeError()));
    }
    SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(options.ca_file.c_str()));
  }
  if (!options.ca_path.empty() && SSL_CTX_load_verify_dir(context, options.ca_path.c_str()) != 1) {
    return absl::InvalidArgumentError(
        absl::StrFormat("ca_path \"%s\" cannot be used: %s", options.ca_path, TakeError()));
  }
  // Goes on whatever is found; ClientProblem tells.
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, [](int, X509_STORE_CTX*) { return 1; });
  return absl::OkStatus();
}

absl::Status UseCipherSuites(const std::string& suites, SSL_CTX* context) {
  std::string names;
  for (const auto part : absl::StrSplit(suites, ',')) {
    const std::string suite(absl::StripAsciiWhitespace(part));
    const char* name = OPENSSL_cipher_name(suite.c_str());
    if (name == nullptr || std::string_view(name) == "(NONE)") {
      return absl::InvalidArgumentError(
          absl::StrFormat("tls_cipher_suites has \"%s\"; expected names such as "
                          "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
                          suite));
    }
    if (!names.empty()) names += ':';
    names += name;
  }
  if (SSL_CTX_set_cipher_list(context, names.c_str()) == 1) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrFormat(
      "tls_cipher_suites is \"%s\", which cannot be used: %s; expected suites of TLS "
      "1.2 or before",
      suites, TakeError()));
}

}  // namespace

absl::StatusOr<TlsContext> MakeTlsContext(const TlsOptions& options) {
  const std::optional<int> version = VersionOf(options.min_version);
  if (!version) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "tls_min_version is \"%s\"; expected tls10, tls11, tls12 or tls13", options.min_version));
  }
  TlsContext context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  CHECK(context != nullptr);
  SSL_CTX_set_min_proto_version(context.get(), *version);
  // Sessions are not resumed: tickets would outlive a change of the certificates.
  SSL_CTX_set_options(context.get(), SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
  if (options.prefer_server_cipher_suites) {
    SSL_CTX_set_options(context.get(), SSL_OP_CIPHER_SERVER_PREFERENCE);
  }
  if (!options.cipher_suites.empty()) {
    RETURN_IF_ERROR(UseCipherSuites(options.cipher_suites, context.get()));
  }
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_alpn_select_cb(context.get(), SelectProtocol, nullptr);
  if (!options.cert_file.empty() || !options.key_file.empty()) {
    RETURN_IF_ERROR(UseCertificate(options, context.get()));
  }
  if (options.verify_clients) RETURN_IF_ERROR(UseAuthorities(options, context.get()));
  return context;
}

TlsStream::TlsStream(const TlsContext& context) : context_(context), ssl_(SSL_new(context.get())) {
  CHECK(ssl_ != nullptr);
  SSL_set_bio(ssl_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
  SSL_set_accept_state(ssl_.get());
}

bool TlsStream::Receive(std::string_view octets, std::string& plain) {
  ERR_clear_error();
  BIO_write(SSL_get_rbio(ssl_.get()), octets.data(), static_cast<int>(octets.size()));
  std::array<char, kRecordOctetsMax> record;
  while (true) {
    const int got = SSL_read(ssl_.get(), record.data(), record.size());
    if (got > 0) {
      plain.append(record.data(), static_cast<size_t>(got));
      continue;
    }
    const int error = SSL_get_error(ssl_.get(), got);
    ERR_clear_error();
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
  }
}

void TlsStream::Send(std::string_view plain) {
  if (plain.empty()) return;
  ERR_clear_error();
  SSL_write(ssl_.get(), plain.data(), static_cast<int>(plain.size()));
}

void TlsStream::Shutdown() {
  if (handshake_done()) SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

std::string TlsStream::ClientProblem() const {
  if (SSL_get_verify_mode(ssl_.get()) == SSL_VERIFY_NONE) return {};
  if (SSL_get0_peer_certificate(ssl_.get()) == nullptr) {
    return "bad certificate: the client sent none";
  }
  const long result = SSL_get_verify_result(ssl_.get());
  if (result == X509_V_OK) return {};
  return absl::StrFormat("bad certificate: %s", X509_verify_cert_error_string(result));
}

std::string TlsStream::TakeOutput() {
  BIO* out = SSL_get_wbio(ssl_.get());
  std::string output(BIO_ctrl_pending(out), '\0');
  if (!output.empty()) BIO_read(out, output.data(), static_cast<int>(output.size()));
  return output;
}

}  // namespace pharos::http
