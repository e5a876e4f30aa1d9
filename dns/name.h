// Domain names in wire form (RFC 1035 section 3.1), uncompressed, letter case kept.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/octets.h"

namespace pharos::dns {

inline constexpr size_t kNameOctetsMax = 255;  // With the root label.
inline constexpr size_t kLabelOctetsMax = 63;

inline uint8_t LowerOctet(uint8_t octet) {
  return octet >= 'A' && octet <= 'Z' ? static_cast<uint8_t>(octet + 32) : octet;
}

// A whole domain name; a default one is the root. Copies are plain memory.
class Name {
 public:
  Name() = default;
  // Reads presentation form with or without the final dot, with the escapes \X and \DDD of RFC 1035
  // section 5.1. nullopt: an empty or over-long label, an over-long name, a bad escape.
  static std::optional<Name> FromText(std::string_view text);
  // Takes octets in wire form that end with their root label; nullopt if they are anything else.
  static std::optional<Name> FromWire(Octets wire);

  // With the root label: 1 to 255 octets.
  Octets wire() const { return Octets(octets_).first(size_); }
  size_t size() const { return size_; }
  bool is_root() const { return size_ == 1; }
  // Labels without the root.
  size_t CountLabels() const;
  // Presentation form with the final dot; what is not a printable character is \DDD.
  std::string ToText() const;
  // Letters A-Z made lower case (RFC 4343).
  Name Lower() const;
  // Whether this is `ancestor` or below it, without regard to case.
  bool IsAtOrBelow(const Name& ancestor) const;
  // The name without its first label; the root for the root.
  Name Parent() const;

  // Compares without regard to case (RFC 4343).
  friend bool operator==(const Name& a, const Name& b);
  template <typename H>
  friend H AbslHashValue(H h, const Name& name) {
    const Name lower = name.Lower();
    return H::combine_contiguous(std::move(h), lower.octets_.data(), lower.size_);
  }

 private:
  friend std::optional<size_t> ReadName(Octets message, size_t offset, Name& name);
  std::array<uint8_t, kNameOctetsMax> octets_{};
  uint8_t size_ = 1;
};

// Reads the name at `offset` of `message`, following compression (RFC 1035 section 4.1.4), into
// `name`. Returns the offset just past it in the message, or nullopt if it is malformed: too long,
// past the end, a reserved label type, a pointer that does not go backwards (so no message can make
// us loop), or more pointers than a name has labels. `name` is then not to be used.
std::optional<size_t> ReadName(Octets message, size_t offset, Name& name);

}  // namespace pharos::dns
