// The gRPC server's options, from the configuration.
#pragma once

#include "agent/config/config.h"
#include "rpc/server.h"

namespace pharos::agent {

// Without addresses where gRPC is off.
rpc::ServerOptions MakeGrpcOptions(const Config& config);

}  // namespace pharos::agent
