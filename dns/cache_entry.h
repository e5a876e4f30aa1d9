// What one entry of the answer cache holds: a question and the whole reply to it, encoded behind
// one another in a single allocation.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/time/time.h"
#include "base/octets.h"
#include "dns/resolver.h"

namespace pharos::dns {

// A list node and its times; the encoded octets lie behind it in memory.
class CacheEntry {
 public:
  struct Free {
    void operator()(CacheEntry* entry) const;
  };
  using Owned = std::unique_ptr<CacheEntry, Free>;
  // An entry fresh from `now` for `lifetime`; TTLs of `answer` above `ttl_max_s` are lowered to it.
  static Owned Make(const UpstreamQuestion& question, const UpstreamAnswer& answer, absl::Time now,
                    absl::Duration lifetime, uint32_t ttl_max_s);

  // What the entry costs in memory, with its place in the index.
  size_t cost_octets() const;
  // The name asked, in lower case.
  Octets qname() const { return octets().first(qname_octets_); }
  bool Matches(const UpstreamQuestion& question) const;

  // The reply, owners spelled as `question` spells its QNAME, TTLs less the `age`, but at least
  // `ttl_min_s` and at most `ttl_max_s`.
  void Decode(const UpstreamQuestion& question, absl::Duration age, uint32_t ttl_min_s,
              uint32_t ttl_max_s, UpstreamAnswer& answer) const;

  // In the list of least recent use; the list writes them.
  CacheEntry* older = nullptr;
  CacheEntry* newer = nullptr;
  absl::Time stored;
  absl::Time expires;
  // Upstreams failed: until then they are not asked again (RFC 9520 section 3.2).
  absl::Time failed_until = absl::InfinitePast();
  uint32_t hits = 0;
  bool refreshing = false;    // The one who was told to ask again has been told.
  bool failure_only = false;  // There never was a reply.

  RrType qtype = RrType::kA;
  RrClass qclass = RrClass::kIn;

 private:
  CacheEntry() = default;
  Octets octets() const { return {reinterpret_cast<const uint8_t*>(this + 1), octets_count_}; }

  uint32_t octets_count_ = 0;
  uint8_t qname_octets_ = 0;
  uint8_t flags_ = 0;
  bool authentic_data_ = false;
  Rcode rcode_ = Rcode::kNoError;
};

}  // namespace pharos::dns
