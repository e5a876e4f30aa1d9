// Catalog images as they come from a disk, another server or a backup. The input is the blocks
// between, as checksums would keep a fuzzer from ever getting past them: each is a length in two
// octets, then so many octets.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/octets.h"
#include "cluster/image_file.h"
#include "cluster/state_machine.h"

using pharos::LoadU16;
using pharos::cluster::ImageFileWriter;
using pharos::cluster::StateMachine;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // As it is, too.
  StateMachine machine("dc1");
  if (machine.Restore({data, size}).ok()) machine.Publish();
  ImageFileWriter writer;
  while (size >= 2) {
    const size_t length = std::min<size_t>(LoadU16(data), size - 2);
    writer.Add(std::string(reinterpret_cast<const char*>(data) + 2, length));
    data += 2 + length;
    size -= 2 + length;
  }
  std::string image;
  for (const std::string& part : writer.Finish()) image += part;
  if (machine.Restore(pharos::AsOctets(image)).ok()) machine.Publish();
  return 0;
}
