// DNS cookies (RFC 7873): a client that shows a server cookie of ours has received a reply of ours
// at its address, so its address is not forged. Our cookies are those of RFC 9018, which all
// servers with the same secret make and accept alike.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "base/ip_address.h"
#include "base/octets.h"
#include "base/siphash.h"

namespace pharos::dns {

inline constexpr size_t kClientCookieOctets = 8;
// Version, three reserved octets, time, hash (RFC 9018 section 4).
inline constexpr size_t kServerCookieOctets = 16;
inline constexpr size_t kCookieOctets = kClientCookieOctets + kServerCookieOctets;
// A server cookie of somebody else's make may be so long (RFC 7873 section 4).
inline constexpr size_t kCookieOptionOctetsMax = kClientCookieOctets + 32;

using CookieSecret = SipHashKey;
// The client's cookie and then ours: a reply's COOKIE option.
using Cookie = std::array<uint8_t, kCookieOctets>;

enum class CookieState : uint8_t {
  kNone,        // The query has none, or cookies are off.
  kClientOnly,  // A client that has no server cookie of ours yet.
  kInvalid,     // Its server cookie is not ours, or another client's, or too old.
  kValid,
};

struct CookieSettings {
  bool enabled = true;
  // A query over UDP that has a cookie but not a valid one gets BADCOOKIE (RFC 7873 section 5.2.3)
  // instead of an answer.
  bool required = false;
  // Shared with other servers: the first makes cookies, all are accepted. When there are none,
  // `seed` gives a new one every day.
  std::vector<CookieSecret> secrets;
  CookieSecret seed{};
};

// The length that a COOKIE option in a query may have; else it is malformed (RFC 7873 section
// 5.2.2).
constexpr bool IsCookieLength(size_t octets) {
  return octets == kClientCookieOctets ||
         (octets >= kClientCookieOctets + 8 && octets <= kCookieOptionOctetsMax);
}

// Judges clients' cookies and makes the replies'. One thread.
class CookieMaker {
 public:
  explicit CookieMaker(const CookieSettings& settings);

  bool enabled() const { return enabled_; }
  bool required() const { return required_; }

  // `option` is a query's COOKIE option, of a length that IsCookieLength allows. The reply's cookie
  // goes into `reply`: the same one while it is young, else a new one (RFC 9018 section 4.3).
  CookieState Check(Octets option, const IpAddress& client, absl::Time now, Cookie& reply);

 private:
  // What a cookie of the right length is worth.
  enum class Worth : uint8_t { kNone, kOld, kYoung };
  Worth Judge(Octets option, const IpAddress& client, uint32_t now_s);
  const CookieSecret& SecretAt(uint32_t unix_s);
  void Make(Octets client_cookie, const IpAddress& client, uint32_t now_s, Cookie& cookie);

  bool enabled_;
  bool required_;
  std::vector<CookieSecret> secrets_;
  CookieSecret seed_;
  // The secrets of the days that cookies in use can be of, by the parity of their day.
  struct Day {
    uint32_t day = 0;
    CookieSecret secret{};
  };
  std::array<Day, 2> days_;
};

}  // namespace pharos::dns
