// The configuration of gRPC.
#pragma once

#include "agent/config/build.h"
#include "agent/config/config.h"
#include "agent/config/settings.h"

namespace pharos::agent {

// Reads tls.grpc and grpc_config into `config`, whose ports are known.
void BuildGrpc(const Settings& settings, Config& config, BuildNotes& notes);

}  // namespace pharos::agent
