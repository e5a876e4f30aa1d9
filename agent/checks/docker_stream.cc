#include "agent/checks/docker_stream.h"

#include <algorithm>

#include "base/octets.h"

namespace pharos::agent {

std::string ReadDockerStream(std::string_view octets) {
  std::string output;
  ByteReader reader(AsOctets(octets));
  while (reader.remaining() > 0) {
    const size_t start = reader.offset();
    const uint32_t stream = reader.U32();
    const uint32_t length = reader.U32();
    if (!reader.ok() || (stream & 0x00ffffff) != 0 || (stream >> 24) > 2) {
      return output.append(octets.substr(start));
    }
    output += AsText(reader.Take(std::min<size_t>(length, reader.remaining())));
  }
  return output;
}

}  // namespace pharos::agent
