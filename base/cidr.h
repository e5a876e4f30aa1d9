// Blocks of IP addresses in CIDR notation (RFC 4632, RFC 4291 section 2.3).
#pragma once

#include <optional>
#include <string_view>

#include "base/ip_address.h"

namespace pharos {

class Cidr {
 public:
  // `10.0.0.0/8`, `fd00::/8`; nullopt for anything else.
  static std::optional<Cidr> Parse(std::string_view text);

  bool Contains(const IpAddress& address) const;

  friend bool operator==(const Cidr&, const Cidr&) = default;

 private:
  IpAddress address_;
  int bits_ = 0;
};

}  // namespace pharos
