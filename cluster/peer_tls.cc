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

constexpr size_t kPemOctetsMax = size_t{4} << 20;

absl::StatusOr<std::string> ReadPem(const std::string& path) {
  if (path.empty()) return std::string();
  return ReadFile(path, kPemOctetsMax);
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> PeerServerCredentials(const PeerTls& tls) {
  if (!tls.enabled()) return grpc::InsecureServerCredentials();
  grpc::SslServerCredentialsOptions options(
      tls.verify_incoming ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                          : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
  if (tls.verify_incoming && tls.ca_file.empty()) {
    return absl::InvalidArgumentError(
        "verify_incoming is set but ca_file is not: there is nothing to verify servers by");
  }
  ASSIGN_OR_RETURN(options.pem_root_certs, ReadPem(tls.ca_file));
  grpc::SslServerCredentialsOptions::PemKeyCertPair pair;
  ASSIGN_OR_RETURN(pair.private_key, ReadPem(tls.key_file));
  ASSIGN_OR_RETURN(pair.cert_chain, ReadPem(tls.cert_file));
  options.pem_key_cert_pairs.push_back(std::move(pair));
  return grpc::SslServerCredentials(options);
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> PeerChannelCredentials(
    const PeerTls& tls) {
  if (!tls.enabled()) return grpc::InsecureChannelCredentials();
  namespace experimental = grpc::experimental;
  ASSIGN_OR_RETURN(const std::string roots, ReadPem(tls.ca_file));
  ASSIGN_OR_RETURN(const std::string key, ReadPem(tls.key_file));
  ASSIGN_OR_RETURN(const std::string chain, ReadPem(tls.cert_file));
  auto provider = std::make_shared<experimental::StaticDataCertificateProvider>(
      roots, std::vector<experimental::IdentityKeyCertPair>{{key, chain}});
  experimental::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(std::move(provider));
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
