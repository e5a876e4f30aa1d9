// What a publication changed, for those who wait for it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace pharos::registry {

struct Changes {
  uint64_t index = 0;  // Of the catalog that has them.
  // Whether any record of a kind came, went or changed.
  bool nodes = false;
  bool services = false;
  bool checks = false;
  // Lower case, each once: the nodes of which anything changed (themselves, services, checks), and
  // the services of whose instances anything did (themselves, their checks, their nodes).
  std::vector<std::string> node_names;
  std::vector<std::string> service_names;
  // The same for the services of a mesh, whose instances are proxies and native ones.
  std::vector<std::string> connect_names;
  bool queries = false;  // Prepared queries.
  bool ingress = false;  // Ingress gateways of a mesh.
};

}  // namespace pharos::registry
