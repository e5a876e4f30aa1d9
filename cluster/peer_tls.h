// How servers prove to each other who they are.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace grpc {
class ChannelCredentials;
class ServerCredentials;
}  // namespace grpc

namespace pharos::cluster {

// Without a certificate servers speak in the clear.
struct PeerTls {
  std::string ca_file, cert_file, key_file;
  // Others must show a certificate of the authorities in `ca_file`, as clients and as servers.
  bool verify_incoming = false;
  bool verify_outgoing = false;
  bool enabled() const { return !cert_file.empty() && !key_file.empty(); }
};

// InvalidArgument for files that cannot be read or do not fit together.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> PeerServerCredentials(const PeerTls& tls);
absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> PeerChannelCredentials(
    const PeerTls& tls);

}  // namespace pharos::cluster
