// What filter expressions may name at each endpoint: the catalog's records as its JSON shows them.
// Nodes and services are filtered as they are; the other endpoints' entries are put together from
// several records, by views that borrow them for one call.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "http/filter/schema.h"
#include "registry/types.h"

namespace pharos::http {

// agent/checks and all health endpoints but health/service.
struct CheckView {
  const registry::HealthCheck* check;
  std::string_view node;                      // The name of its node.
  std::span<const std::string> service_tags;  // Of its service; empty for a node's check.
};

// catalog/service and catalog/services.
struct CatalogServiceView {
  const registry::Node* node;
  const registry::Service* service;
};

// health/service.
struct HealthServiceView {
  const registry::Node* node;
  const registry::Service* service;
  std::span<const CheckView> checks;  // The node's and the instance's.
};

extern const RecordSchema<registry::Node> kNodeSchema;        // catalog/nodes
extern const RecordSchema<registry::Service> kServiceSchema;  // agent/services, catalog/node
extern const RecordSchema<CheckView> kCheckSchema;
extern const RecordSchema<CatalogServiceView> kCatalogServiceSchema;
extern const RecordSchema<HealthServiceView> kHealthServiceSchema;

}  // namespace pharos::http
