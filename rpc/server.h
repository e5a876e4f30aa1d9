// The gRPC server: its ports, its services, and the thread `grpc`. Start reading here.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/loop.h"
#include "cluster/catalog_access.h"
#include "rpc/admin_source.h"
#include "rpc/counters.h"
#include "rpc/registrar.h"
#include "rpc/streams.h"

namespace grpc {
class Server;
}

namespace pharos::rpc {

class AdminService;
class DiscoveryService;
class HealthService;
class RegistrationService;
class TopicHub;
class Watches;
class XdsResources;
class XdsService;
struct Context;

struct TlsOptions {
  std::string ca_file, cert_file, key_file;  // PEM; read again when they change.
  bool verify_clients = false;  // A client without a certificate of ca_file's is refused.
};

struct ServerOptions {
  // As gRPC names them: `127.0.0.1:8502`, `[::1]:8502`, `unix:/run/pharos.sock`.
  std::vector<std::string> addresses, tls_addresses;
  TlsOptions tls;
  std::string datacenter;  // Lower case.
  // A connection that is silent for so long is pinged, and given up when the ping is not answered
  // in time: how soon a holder that vanished is missed.
  absl::Duration keepalive_interval = absl::Milliseconds(400);
  absl::Duration keepalive_timeout = absl::Milliseconds(400);
};

class Server {
 public:
  // What is borrowed outlives this. Errors are for the operator: which address or file, and why.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerOptions& options,
                                                       cluster::CatalogAccess& consensus,
                                                       Registrar& registrar, AdminSource admin);
  // Ends every stream with Unavailable; what they hold stays with the registrar.
  ~Server();

  const RpcCounters& counters() const { return counters_; }

 private:
  Server(const ServerOptions& options, cluster::CatalogAccess& consensus, Registrar& registrar,
         AdminSource admin);
  absl::Status Listen(const ServerOptions& options);

  RpcCounters counters_;
  std::atomic<bool> stopping_ = false;
  std::unique_ptr<Loop> loop_;
  Streams streams_;
  std::unique_ptr<TopicHub> hub_;
  std::unique_ptr<Context> context_;
  std::unique_ptr<Watches> watches_;
  std::unique_ptr<LoopTimer> timer_;
  std::unique_ptr<RegistrationService> registration_;
  std::unique_ptr<DiscoveryService> discovery_;
  std::unique_ptr<HealthService> health_;
  std::unique_ptr<AdminService> admin_;
  std::unique_ptr<XdsResources> xds_resources_;
  std::unique_ptr<XdsService> xds_;
  std::unique_ptr<::grpc::Server> server_;
};

}  // namespace pharos::rpc
