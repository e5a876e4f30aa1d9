// Bodies of the HTTP API's writes: JSON, and the definitions and commands they are read as.
#include <cstddef>
#include <cstdint>
#include <string>

#include "agent/local/body.h"
#include "base/check.h"
#include "http/catalog_write.h"
#include "registry/catalog.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string body(reinterpret_cast<const char*>(data), size);
  for (const auto parse :
       {pharos::http::ParseCatalogRegister, pharos::http::ParseCatalogDeregister}) {
    const auto command = parse(body, "dc1");
    if (!command.ok()) continue;
    // Whatever is read may be refused, but not do harm.
    pharos::registry::Catalog catalog("dc1");
    (void)catalog.Apply(1, *command);
    catalog.MakeSnapshot();
  }
  const auto service = pharos::agent::ParseServiceBody(body, true);
  if (service.ok()) CHECK(!service->id.empty() && service->port >= 0 && service->port <= 65535);
  const auto check = pharos::agent::ParseCheckBody(body, false);
  if (check.ok()) CHECK(!check->id.empty() && check->args.empty());
  (void)pharos::agent::ParseCheckUpdateBody(body);
  return 0;
}
