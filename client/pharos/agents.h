// Where the agents are, and how to talk to them.
#pragma once

#include <grpcpp/security/credentials.h>

#include <memory>
#include <string>
#include <vector>

namespace pharos {

struct Agents {
  // As gRPC names them: `127.0.0.1:8502`, `unix:/run/pharos.sock`. Tried in turn: the first is the
  // one of this machine, others are for when it is gone.
  std::vector<std::string> addresses = {"127.0.0.1:8502"};
  // Null: no TLS.
  std::shared_ptr<grpc::ChannelCredentials> credentials;
};

}  // namespace pharos
