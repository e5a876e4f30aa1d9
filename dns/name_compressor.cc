#include "dns/name_compressor.h"

#include "dns/name.h"

namespace pharos::dns {
namespace {

constexpr size_t kPointerTargetMax = 0x3fff;

uint16_t HashOf(Octets suffix) {
  uint32_t hash = 2166136261;  // FNV-1a: short, and only a filter.
  for (const uint8_t octet : suffix) hash = (hash ^ LowerOctet(octet)) * 16777619;
  return static_cast<uint16_t>(hash ^ hash >> 16);
}

// Whether the name at `offset` of the message, which we wrote ourselves, is `suffix`.
bool StandsAt(Octets message, size_t offset, Octets suffix) {
  size_t at = 0;
  while (true) {
    while (message[offset] >= 0xc0) offset = LoadU16(&message[offset]) & kPointerTargetMax;
    const size_t label = message[offset] + size_t{1};
    // The lengths are compared first, so that the suffix has as many octets.
    for (size_t i = 0; i < label; ++i) {
      if (LowerOctet(message[offset + i]) != LowerOctet(suffix[at + i])) return false;
    }
    if (label == 1) return true;
    offset += label;
    at += label;
  }
}

}  // namespace

void NameCompressor::Add(Octets suffix, size_t offset) {
  if (count_ == kPlacesMax || offset > kPointerTargetMax) return;
  places_[count_++] = {static_cast<uint16_t>(offset), HashOf(suffix)};
}

void NameCompressor::Remember(Octets wire, size_t offset) {
  for (size_t at = 0; wire[at] != 0; at += wire[at] + size_t{1}) {
    Add(wire.subspan(at), offset + at);
  }
}

void NameCompressor::Rewind(size_t offset) {
  while (count_ > 0 && places_[count_ - 1].offset >= offset) --count_;
}

void NameCompressor::Write(Octets wire, ByteWriter& writer) {
  // What is not written cannot be pointed at: after a failed write nothing is, until the writer and
  // this are rewound.
  if (!writer.ok()) return;
  const size_t known = count_;  // What the name itself adds is not for itself.
  size_t at = 0;
  for (; wire[at] != 0; at += wire[at] + size_t{1}) {
    const Octets suffix = wire.subspan(at);
    const uint16_t hash = HashOf(suffix);
    for (size_t i = 0; i < known; ++i) {
      if (places_[i].hash == hash && StandsAt(writer.written(), places_[i].offset, suffix)) {
        writer.U16(static_cast<uint16_t>(0xc000 | places_[i].offset));
        return;
      }
    }
    Add(suffix, writer.offset());
    writer.Append(wire.subspan(at, wire[at] + size_t{1}));
  }
  writer.U8(0);
}

}  // namespace pharos::dns
