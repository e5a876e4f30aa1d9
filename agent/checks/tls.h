// What checks ask of TLS.
#pragma once

#include "agent/checks/endpoint.h"
#include "agent/checks/options.h"
#include "agent/config/definition.h"
#include "base/tls_client.h"

namespace pharos::agent {

// For a check of `endpoint`: its definition's server name, else the host.
TlsRequest TlsRequestOf(const CheckDefinition& definition, const Endpoint& endpoint);
// What all checks' connections show and trust.
TlsClientFiles TlsFilesOf(const RunnerOptions& options);

}  // namespace pharos::agent
