// Log entries as they come from a disk or another server: whatever they are, applying them must not
// break the state machine, and what it then has must go through an image unchanged.
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "cluster/state_machine.h"

using pharos::cluster::DecodeEntry;
using pharos::cluster::StateMachine;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto entry = DecodeEntry({data, size});
  if (!entry.ok()) return 0;
  StateMachine machine("dc1");
  if (!machine.Apply(2, *entry).ok()) return 0;
  machine.Publish();
  std::string image;
  for (const std::string& part : machine.TakeImage(1, 0)()) image += part;
  StateMachine other("dc1");
  CHECK(other.Restore(pharos::AsOctets(image)).ok());
  other.Publish();
  CHECK(other.last_index() == machine.last_index());
  return 0;
}
