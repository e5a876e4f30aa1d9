#include "base/cidr.h"

#include <charconv>

namespace pharos {

std::optional<Cidr> Cidr::Parse(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const std::optional<IpAddress> address = IpAddress::Parse(text.substr(0, slash));
  const std::string_view bits = text.substr(slash + 1);
  Cidr block;
  const char* end = bits.data() + bits.size();
  const auto [read_to, error] = std::from_chars(bits.data(), end, block.bits_);
  if (!address || error != std::errc() || read_to != end || block.bits_ < 0) return std::nullopt;
  block.address_ = *address;
  if (block.bits_ > static_cast<int>(address->octets().size()) * 8) return std::nullopt;
  return block;
}

bool Cidr::Contains(const IpAddress& address) const {
  if (address.is_v4() != address_.is_v4()) return false;
  const Octets ours = address_.octets(), theirs = address.octets();
  for (int bit = 0; bit < bits_; ++bit) {
    const auto octet = static_cast<size_t>(bit / 8);
    const int mask = 0x80 >> (bit % 8);
    if ((ours[octet] & mask) != (theirs[octet] & mask)) return false;
  }
  return true;
}

}  // namespace pharos
