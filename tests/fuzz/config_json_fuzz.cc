// Any text as a JSON configuration: read, checked and built.
#include <cstddef>
#include <cstdint>
#include <string>

#include "agent/config/build.h"
#include "agent/config/json_reader.h"
#include "agent/config/schema.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pharos::agent;  // NOLINT(google-build-using-namespace): one function, no header.
  const auto tree = ReadJson({reinterpret_cast<const char*>(data), size}, "fuzz", 0);
  if (!tree.ok()) return 0;
  const SourceNames names = {"fuzz"};
  Problems problems(names);
  const Value checked = CheckAgainstSchema(*tree, problems);
  if (!problems.empty()) return 0;
  BuildNotes notes;
  BuildConfig(checked, names, Machine{.host_name = "host", .interfaces = {}}, false, problems,
              notes);
  return 0;
}
