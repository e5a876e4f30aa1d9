#include "agent/grpc_setup.h"

#include <cstdint>
#include <string>
#include <vector>

namespace pharos::agent {
namespace {

std::vector<std::string> GrpcAddresses(const std::vector<ListenAddress>& addresses, int port) {
  std::vector<std::string> named;
  if (port <= 0) return named;
  for (const ListenAddress& at : addresses) {
    named.push_back(at.unix_path.empty()
                        ? SocketAddress{.ip = at.ip, .port = static_cast<uint16_t>(port)}.ToString()
                        : "unix:" + at.unix_path);
  }
  return named;
}

}  // namespace

rpc::ServerOptions MakeGrpcOptions(const Config& config) {
  rpc::ServerOptions options;
  options.addresses = GrpcAddresses(config.addresses.grpc, config.ports.grpc);
  options.tls = {.ca_file = config.grpc.tls.ca_file,
                 .cert_file = config.grpc.tls.cert_file,
                 .key_file = config.grpc.tls.key_file,
                 .verify_clients = config.grpc.verify_incoming};
  if (!options.tls.cert_file.empty() && !options.tls.key_file.empty()) {
    options.tls_addresses = GrpcAddresses(config.addresses.grpc_tls, config.ports.grpc_tls);
  }
  options.datacenter = config.datacenter;
  options.keepalive_interval = config.grpc.keepalive_interval;
  options.keepalive_timeout = config.grpc.keepalive_timeout;
  return options;
}

}  // namespace pharos::agent
