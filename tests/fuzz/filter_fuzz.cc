// Any text as a filter expression of health/service, asked of one record: it fits either the
// expression or its opposite.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "http/filter/parse.h"
#include "http/filter/record_schemas.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pharos;  // NOLINT(google-build-using-namespace): one function, no header.
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto filter = http::ParseFilter(text, http::kHealthServiceSchema);
  if (!filter.ok()) return 0;

  registry::Node node;
  node.name = "n1";
  node.address = "192.0.2.1";
  node.meta = registry::StringPairs{{"a-b", "1"}, {"os", "linux"}};
  registry::Service service;
  service.name = "web";
  service.tags = std::vector<std::string>{"blue", "v1"};
  service.port = 80;
  registry::ServiceDetails details;
  details.tagged_addresses = {{.name = "lan", .address = "192.0.2.2", .port = 81}};
  service.details = details;
  registry::HealthCheck check;
  check.name = "alive";
  const std::vector<http::CheckView> checks = {
      {.check = &check, .node = node.name, .service_tags = service.tags}};
  const http::HealthServiceView entry = {.node = &node, .service = &service, .checks = checks};
  const bool fits = filter->Matches(entry);
  const auto opposite =
      http::ParseFilter("not (" + std::string(text) + ")", http::kHealthServiceSchema);
  if (opposite.ok() && opposite->Matches(entry) == fits) std::abort();
  return 0;
}
