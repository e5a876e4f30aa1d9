// Compression of names in a message being written (RFC 1035 section 4.1.4): remembers where names
// stand and points at them.
#pragma once

#include <array>
#include <cstdint>

#include "base/octets.h"

namespace pharos::dns {

// A plain value of fixed size; copy it to be able to take back what was written since.
class NameCompressor {
 public:
  // Labels remembered; names beyond are written, but not pointed at.
  static constexpr size_t kPlacesMax = 128;

  // Writes the name (wire form with the root label), as a pointer as far as possible, and remembers
  // its parts. Letter case does not matter (RFC 4343), so a name takes the case of the one before.
  void Write(Octets wire, ByteWriter& writer);
  // Remembers the name that stands, uncompressed, at `offset` of the message.
  void Remember(Octets wire, size_t offset);
  // Forgets what was remembered at or after `offset`, where the message now ends.
  void Rewind(size_t offset);

 private:
  struct Place {
    uint16_t offset;
    uint16_t hash;  // Of the name in lower case; a match is compared in the message.
  };
  void Add(Octets suffix, size_t offset);

  std::array<Place, kPlacesMax> places_;
  size_t count_ = 0;  // In ascending order of offset.
};

}  // namespace pharos::dns
