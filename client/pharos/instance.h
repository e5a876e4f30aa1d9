// Instances of services, as programs register and find them. What is allowed in each field is told
// in proto/discovery.proto.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace pharos {

enum class Health { kPassing, kWarning, kCritical };

// What a program registers.
struct InstanceSpec {
  std::string service;  // The name that DNS finds it by.
  std::string id;       // Unique at the agent; empty: the service's name.
  uint16_t port = 0;
  std::string address;  // Empty: the agent's node's.
  std::vector<std::string> tags;
  std::map<std::string, std::string> meta;
  uint32_t weight = 1;          // While it passes, 1 to 65535,
  uint32_t warning_weight = 1;  // and while it warns.
  std::string region, zone;     // Empty: the node's.
  Health health = Health::kPassing;
};

// What a program finds.
struct Instance {
  std::string service, id, node, datacenter;
  std::string address;  // IP address or host name.
  uint16_t port = 0;
  std::vector<std::string> tags;
  std::map<std::string, std::string> meta;
  uint32_t weight = 1;  // By its health.
  std::string region, zone;
  Health health = Health::kPassing;
};

}  // namespace pharos
