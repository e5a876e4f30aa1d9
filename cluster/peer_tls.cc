#include "cluster/peer_tls.h"

#include <grpcpp/grpcpp.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>

#include "absl/strings/str_format.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace pharos::cluster {
namespace {

namespace experimental = grpc::experimental;

constexpr size_t kPemOctetsMax = size_t{4} << 20;
constexpr unsigned kRefreshSeconds = 1;

// What can be told before the first handshake.
absl::Status CheckFiles(const PeerTls& tls) {
  for (const std::string& path : {tls.ca_file, tls.cert_file, tls.key_file}) {
    if (!path.empty()) RETURN_IF_ERROR(ReadFile(path, kPemOctetsMax).status());
  }
  return absl::OkStatus();
}

// Looks at the files every second and takes what has changed, if certificate and key fit.
std::shared_ptr<experimental::CertificateProviderInterface> WatchFiles(const PeerTls& tls) {
  using Watcher = experimental::FileWatcherCertificateProvider;
  if (tls.ca_file.empty()) {
    return std::make_shared<Watcher>(tls.key_file, tls.cert_file, kRefreshSeconds);
  }
  return std::make_shared<Watcher>(tls.key_file, tls.cert_file, tls.ca_file, kRefreshSeconds);
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> PeerServerCredentials(const PeerTls& tls) {
  if (!tls.enabled()) return grpc::InsecureServerCredentials();
  if (tls.verify_incoming && tls.ca_file.empty()) {
    return absl::InvalidArgumentError(
        "verify_incoming is set but ca_file is not: there is nothing to verify servers by");
  }
  RETURN_IF_ERROR(CheckFiles(tls));
  experimental::TlsServerCredentialsOptions options(WatchFiles(tls));
  options.watch_identity_key_cert_pairs();
  if (!tls.ca_file.empty()) options.watch_root_certs();
  options.set_cert_request_type(tls.verify_incoming
                                    ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                                    : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
  return experimental::TlsServerCredentials(options);
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> PeerChannelCredentials(
    const PeerTls& tls) {
  if (!tls.enabled()) return grpc::InsecureChannelCredentials();
  RETURN_IF_ERROR(CheckFiles(tls));
  experimental::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(WatchFiles(tls));
  options.watch_identity_key_cert_pairs();
  if (tls.verify_outgoing && !tls.ca_file.empty()) options.watch_root_certs();
  options.set_verify_server_certs(tls.verify_outgoing);
  // Servers are found by address, and certificates say names: which authority signed is what
  // counts.
  options.set_check_call_host(false);
  options.set_certificate_verifier(std::make_shared<experimental::NoOpCertificateVerifier>());
  return experimental::TlsCredentials(options);
}

}  // namespace pharos::cluster
