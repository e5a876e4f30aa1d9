// From the agent's configuration to that of the HTTP server.
#pragma once

#include "agent/config/config.h"
#include "http/read_options.h"
#include "http/router.h"
#include "http/server.h"

namespace pharos::agent {

// Nothing to listen on where `ports.http` and `ports.https` are off. HTTPS needs a certificate.
http::ServerOptions MakeHttpOptions(const Config& config);
http::TlsOptions MakeHttpTlsOptions(const Config& config);
http::ReadDefaults MakeReadDefaults(const Config& config);
http::RouterOptions MakeRouterOptions(const Config& config);

}  // namespace pharos::agent
