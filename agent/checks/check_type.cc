#include "agent/checks/check_type.h"

#include <array>

namespace pharos::agent {

std::optional<CheckType> TypeOf(const CheckDefinition& definition) {
  if (definition.ttl > absl::ZeroDuration()) return CheckType::kTtl;
  if (!definition.http.empty()) return CheckType::kHttp;
  if (!definition.tcp.empty()) return CheckType::kTcp;
  if (!definition.udp.empty()) return CheckType::kUdp;
  if (!definition.grpc.empty()) return CheckType::kGrpc;
  if (!definition.h2ping.empty()) return CheckType::kH2Ping;
  if (!definition.docker_container_id.empty()) return CheckType::kDocker;
  if (!definition.args.empty()) return CheckType::kScript;
  if (!definition.os_service.empty()) return CheckType::kOsService;
  if (!definition.alias_node.empty() || !definition.alias_service.empty()) return CheckType::kAlias;
  return std::nullopt;
}

std::string_view TypeWord(CheckType type) {
  static constexpr std::array<std::string_view, kCheckTypes> kWords = {
      "ttl", "http", "tcp", "udp", "grpc", "h2ping", "script", "docker", "alias", "os_service"};
  return kWords[static_cast<size_t>(type)];
}

}  // namespace pharos::agent
