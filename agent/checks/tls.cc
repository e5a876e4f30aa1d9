#include "agent/checks/tls.h"

namespace pharos::agent {

TlsRequest TlsRequestOf(const CheckDefinition& definition, const Endpoint& endpoint) {
  const std::string& given = definition.tls_server_name;
  return {.server_name = given.empty() ? endpoint.host : given,
          .skip_verify = definition.tls_skip_verify};
}

TlsClientFiles TlsFilesOf(const RunnerOptions& options) {
  return {.ca_file = options.ca_file,
          .ca_path = options.ca_path,
          .cert_file = options.cert_file,
          .key_file = options.key_file};
}

}  // namespace pharos::agent
