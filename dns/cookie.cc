#include "dns/cookie.h"

#include <algorithm>

namespace pharos::dns {
namespace {

constexpr uint8_t kVersion = 1;
constexpr size_t kTimeOffset = kClientCookieOctets + 4;
constexpr size_t kHashOffset = kClientCookieOctets + 8;
constexpr size_t kHashOctets = 8;
constexpr uint32_t kDay_s = 24 * 60 * 60;
// RFC 9018 section 4.3: how old a cookie may be, how far ahead another server's clock, and from
// which age on the client gets a new one.
constexpr int32_t kAgeMax_s = 60 * 60;
constexpr int32_t kAheadMax_s = 5 * 60;
constexpr int32_t kRenewAge_s = 30 * 60;

// Client cookie, version, reserved octets, time, and the client's address.
constexpr size_t kHashedOctetsMax = kHashOffset + 16;

void StoreLittleEndian(uint64_t value, MutableOctets target) {
  for (uint8_t& octet : target) {
    octet = static_cast<uint8_t>(value);
    value >>= 8;
  }
}

// RFC 9018 section 4.4, over the octets of the cookie before the hash as they stand.
std::array<uint8_t, kHashOctets> HashOf(Octets before_hash, const IpAddress& client,
                                        const CookieSecret& secret) {
  std::array<uint8_t, kHashedOctetsMax> hashed;
  ByteWriter out(hashed);
  out.Append(before_hash);
  out.Append(client.octets());
  std::array<uint8_t, kHashOctets> hash;
  StoreLittleEndian(SipHash24(secret, out.written()), hash);
  return hash;
}

// Takes as long wherever the difference is, so that it cannot be found octet by octet.
bool SameHash(Octets a, Octets b) {
  uint8_t difference = 0;
  for (size_t i = 0; i < kHashOctets; ++i) difference |= a[i] ^ b[i];
  return difference == 0;
}

// The secret of one day, which tells nothing about the seed or another day's.
CookieSecret SecretOfDay(const CookieSecret& seed, uint32_t day) {
  CookieSecret secret;
  std::array<uint8_t, 5> input{};
  StoreU32(input.data(), day);
  for (const size_t half : {0, 1}) {
    input[4] = static_cast<uint8_t>(half);
    StoreLittleEndian(SipHash24(seed, input), MutableOctets(secret).subspan(half * 8, 8));
  }
  return secret;
}

}  // namespace

CookieMaker::CookieMaker(const CookieSettings& settings)
    : enabled_(settings.enabled),
      required_(settings.required),
      secrets_(settings.secrets),
      seed_(settings.seed) {
  for (uint32_t day = 0; day < days_.size(); ++day) days_[day] = {day, SecretOfDay(seed_, day)};
}

const CookieSecret& CookieMaker::SecretAt(uint32_t unix_s) {
  if (!secrets_.empty()) return secrets_.front();
  const uint32_t day = unix_s / kDay_s;
  Day& known = days_[day % days_.size()];
  if (known.day != day) known = {day, SecretOfDay(seed_, day)};
  return known.secret;
}

void CookieMaker::Make(Octets client_cookie, const IpAddress& client, uint32_t now_s,
                       Cookie& cookie) {
  ByteWriter out(cookie);
  out.Append(client_cookie);
  out.U8(kVersion);
  out.U8(0);
  out.U16(0);
  out.U32(now_s);
  out.Append(HashOf(out.written(), client, SecretAt(now_s)));
}

CookieMaker::Worth CookieMaker::Judge(Octets option, const IpAddress& client, uint32_t now_s) {
  if (option.size() != kCookieOctets || option[kClientCookieOctets] != kVersion) {
    return Worth::kNone;
  }
  const uint32_t made_s = LoadU32(&option[kTimeOffset]);
  // Serial number arithmetic (RFC 1982), as 32 bits of seconds end in 2106.
  const auto age_s = static_cast<int32_t>(now_s - made_s);
  if (age_s > kAgeMax_s || age_s < -kAheadMax_s) return Worth::kNone;
  const Octets before_hash = option.first(kHashOffset);
  const Octets hash = option.subspan(kHashOffset);
  if (SameHash(hash, HashOf(before_hash, client, SecretAt(made_s)))) {
    return age_s > kRenewAge_s ? Worth::kOld : Worth::kYoung;
  }
  for (size_t i = 1; i < secrets_.size(); ++i) {
    if (SameHash(hash, HashOf(before_hash, client, secrets_[i]))) return Worth::kOld;
  }
  return Worth::kNone;
}

CookieState CookieMaker::Check(Octets option, const IpAddress& client, absl::Time now,
                               Cookie& reply) {
  const auto now_s = static_cast<uint32_t>(absl::ToUnixSeconds(now));
  const Worth worth = Judge(option, client, now_s);
  if (worth == Worth::kYoung) {
    std::copy(option.begin(), option.end(), reply.begin());
    return CookieState::kValid;
  }
  Make(option.first(kClientCookieOctets), client, now_s, reply);
  if (worth == Worth::kOld) return CookieState::kValid;
  return option.size() == kClientCookieOctets ? CookieState::kClientOnly : CookieState::kInvalid;
}

}  // namespace pharos::dns
