// Octets as seen on a wire, and a reader and a writer in network byte order that cannot run past
// the end of what they were given. Neither allocates nor owns.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace pharos {

using Octets = std::span<const uint8_t>;
using MutableOctets = std::span<uint8_t>;

inline Octets AsOctets(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}
inline std::string_view AsText(Octets octets) {
  return {reinterpret_cast<const char*>(octets.data()), octets.size()};
}

// Big-endian loads and stores; the caller has checked that the octets are there.
inline uint16_t LoadU16(const uint8_t* at) { return static_cast<uint16_t>((at[0] << 8) | at[1]); }
inline uint32_t LoadU32(const uint8_t* at) {
  return (uint32_t{at[0]} << 24) | (uint32_t{at[1]} << 16) | (uint32_t{at[2]} << 8) | at[3];
}
inline void StoreU16(uint8_t* at, uint16_t value) {
  at[0] = static_cast<uint8_t>(value >> 8);
  at[1] = static_cast<uint8_t>(value);
}
inline void StoreU32(uint8_t* at, uint32_t value) {
  StoreU16(at, static_cast<uint16_t>(value >> 16));
  StoreU16(at + 2, static_cast<uint16_t>(value));
}

// Reads forward through octets. A read past the end gives zero (or an empty span) and makes ok()
// false for good, so a parser may check once at its end.
class ByteReader {
 public:
  explicit ByteReader(Octets octets, size_t offset = 0)
      : octets_(octets), offset_(offset), ok_(offset <= octets.size()) {}

  uint8_t U8() { return Has(1) ? octets_[offset_++] : uint8_t{0}; }
  uint16_t U16() {
    if (!Has(2)) return 0;
    offset_ += 2;
    return LoadU16(&octets_[offset_ - 2]);
  }
  uint32_t U32() {
    if (!Has(4)) return 0;
    offset_ += 4;
    return LoadU32(&octets_[offset_ - 4]);
  }
  Octets Take(size_t count) {
    if (!Has(count)) return {};
    offset_ += count;
    return octets_.subspan(offset_ - count, count);
  }
  size_t offset() const { return offset_; }
  size_t remaining() const { return ok_ ? octets_.size() - offset_ : 0; }
  bool ok() const { return ok_; }

 private:
  bool Has(size_t count) {
    if (ok_ && octets_.size() - offset_ < count) ok_ = false;
    return ok_;
  }

  Octets octets_;
  size_t offset_;
  bool ok_;
};

// Writes forward into octets. A write past the end writes nothing and makes ok() false until
// Rewind() goes back to an offset that was good.
class ByteWriter {
 public:
  explicit ByteWriter(MutableOctets octets) : octets_(octets) {}

  void U8(uint8_t value) {
    if (Has(1)) octets_[offset_++] = value;
  }
  void U16(uint16_t value) {
    if (!Has(2)) return;
    StoreU16(&octets_[offset_], value);
    offset_ += 2;
  }
  void U32(uint32_t value) {
    if (!Has(4)) return;
    StoreU32(&octets_[offset_], value);
    offset_ += 4;
  }
  void Append(Octets source) {
    if (!Has(source.size()) || source.empty()) return;
    std::memcpy(&octets_[offset_], source.data(), source.size());
    offset_ += source.size();
  }
  void Rewind(size_t offset) {
    offset_ = offset;
    ok_ = true;
  }
  size_t offset() const { return offset_; }
  size_t remaining() const { return octets_.size() - offset_; }
  bool ok() const { return ok_; }
  Octets written() const { return octets_.first(offset_); }
  // The octets already written, to patch a count or a length.
  uint8_t* at(size_t offset) { return &octets_[offset]; }

 private:
  bool Has(size_t count) {
    if (octets_.size() - offset_ < count) ok_ = false;
    return ok_;
  }

  MutableOctets octets_;
  size_t offset_ = 0;
  bool ok_ = true;
};

}  // namespace pharos
