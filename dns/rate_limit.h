// Response rate limiting (Vixie and Schryver 2012, as BIND and Knot do it): so that nobody can have
// us flood a network by asking in its name. Pure: a response and a time in, a verdict out.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/time/time.h"
#include "base/cidr.h"
#include "base/counter.h"
#include "base/ip_address.h"
#include "base/octets.h"
#include "dns/query.h"

namespace pharos::dns {

struct RateLimitOptions {
  // Of one thread, to one network: answers to one question, NXDOMAIN of one zone, errors. 0: any
  // number. All 0, the default: nothing is limited.
  uint32_t responses_per_second = 0;
  uint32_t nxdomains_per_second = 0;
  uint32_t errors_per_second = 0;
  // How far back excess counts: after a flood a network is limited for up to so long.
  uint32_t window_s = 15;
  // Every so many-th limited response is sent truncated, for clients that mean it to come again
  // over TCP; 0: none is, 1: all are.
  uint32_t slip = 2;
  // What makes a network.
  uint32_t ipv4_prefix = 24;
  uint32_t ipv6_prefix = 56;
  std::vector<Cidr> exempt = {};
  // Buckets of one thread. A full table forgets what was used longest ago.
  uint32_t table_size = 16384;

  bool IsOn() const {
    return responses_per_second > 0 || nxdomains_per_second > 0 || errors_per_second > 0;
  }
  friend bool operator==(const RateLimitOptions&, const RateLimitOptions&) = default;
};

enum class ResponseKind : uint8_t { kAnswer, kNxDomain, kError };

// What responses count together, as far as the response itself says: all with the same question,
// all NXDOMAIN of the same zone, all errors.
struct ResponseClass {
  ResponseKind kind = ResponseKind::kError;
  uint64_t name_hash = 0;
};

// Reads a reply of our own making to `query`, which may be one that could not be parsed. The zone
// of an NXDOMAIN is that of its SOA record; without one, all count together.
ResponseClass ClassifyResponse(const Query& query, Octets reply);

struct RateLimitDecision {
  enum Verdict : uint8_t {
    kSend,
    kSlip,  // To be sent truncated.
    kDrop,
  } verdict = kSend;
  bool began = false;  // The first response to be limited of this bucket.
};

struct RateLimitCounters {
  Counter dropped;
  Counter slipped;
  Counter evictions;  // Buckets in use that others took the place of.
};

// The address with all bits behind the network's made zero.
IpAddress NetworkOf(const IpAddress& address, const RateLimitOptions& options);

// Token buckets. Constant work and no allocation a response. One thread; counters may be read from
// any.
class RateLimiter {
 public:
  // Whoever knows `secret` could choose clients and names whose buckets fall together.
  RateLimiter(const RateLimitOptions& options, uint64_t secret);

  // Takes a response into account, and says what becomes of it. A clock that is set back costs
  // nobody anything.
  RateLimitDecision Judge(const IpAddress& client, const ResponseClass& response, absl::Time now);

  const RateLimitOptions& options() const { return options_; }
  const RateLimitCounters& counters() const { return counters_; }

 private:
  // A bucket has room for a second's responses; below zero responses are limited.
  struct Bucket {
    uint64_t key = 0;  // 0: free.
    int64_t used_ms = 0;
    int64_t balance = 0;  // In thousandths of a response.
    uint32_t limited = 0;
    bool limiting = false;
  };
  static constexpr size_t kWays = 4;  // Buckets that a key may be in: two cache lines.

  uint32_t RateOf(ResponseKind kind) const;
  bool IsExempt(const IpAddress& client) const;
  uint64_t KeyOf(const IpAddress& client, const ResponseClass& response) const;
  Bucket& Find(uint64_t key, int64_t now_ms, uint32_t rate);

  const RateLimitOptions options_;
  const uint64_t secret_;
  std::vector<Bucket> buckets_;
  size_t set_mask_;
  RateLimitCounters counters_;
};

}  // namespace pharos::dns
