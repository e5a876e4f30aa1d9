// The kinds of health checks that an agent runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "agent/config/definition.h"

namespace pharos::agent {

enum class CheckType : uint8_t {
  kTtl,
  kHttp,
  kTcp,
  kUdp,
  kGrpc,
  kH2Ping,
  kScript,
  kDocker,
  kAlias,
  kOsService,
};
inline constexpr size_t kCheckTypes = 10;

// What the definition's fields make it (arguments with a container are docker's); nullopt if they
// make it nothing.
std::optional<CheckType> TypeOf(const CheckDefinition& definition);

// The word that the HTTP API shows: ttl, http, tcp, udp, grpc, h2ping, script, docker, alias,
// os_service.
std::string_view TypeWord(CheckType type);

}  // namespace pharos::agent
