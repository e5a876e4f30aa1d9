// Names that are not ours: asked of the recursors, remembered, and given to whoever asked. One
// Resolver belongs to one DNS thread; all calls are made on its loop.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "base/octets.h"
#include "dns/extended_error.h"
#include "dns/name.h"
#include "dns/query.h"

namespace pharos::dns {

// A resource record in uncompressed form: names inside RDATA are spelled out.
struct Record {
  Name owner;
  RrType type = RrType::kA;
  RrClass rr_class = RrClass::kIn;
  uint32_t ttl_s = 0;
  std::vector<uint8_t> rdata;
};

// What is asked of the recursors. Two that are equal share one upstream query and one cache entry;
// the name compares without regard to case.
struct UpstreamQuestion {
  Name qname;
  RrType qtype = RrType::kA;
  RrClass qclass = RrClass::kIn;
  bool recursion_desired = true;
  bool checking_disabled = false;
  bool dnssec_ok = false;
  friend bool operator==(const UpstreamQuestion&, const UpstreamQuestion&) = default;
};

// What the recursors (or the cache) said. rcode SERVFAIL with nothing else when none answered.
struct UpstreamAnswer {
  Rcode rcode = Rcode::kServFail;
  bool authentic_data = false;
  bool authoritative = false;
  bool stale = false;  // From the cache past its TTL, as no upstream answered (RFC 8767).
  std::optional<ExtendedError> extended_error;        // For the client's eyes.
  std::vector<Record> answer, authority, additional;  // Without OPT. TTLs as of now.
};

class Resolver {
 public:
  virtual ~Resolver() = default;
  // Whether there is anyone to ask.
  virtual bool has_upstreams() const = 0;
  // Calls `done` exactly once, possibly before it returns (from the cache): with an answer, or with
  // SERVFAIL within the whole-answer deadline or when a bound is reached.
  using Done = std::function<void(const UpstreamAnswer&)>;
  virtual void Resolve(const UpstreamQuestion& question, absl::Time now, Done done) = 0;
  // Gives everyone who waits SERVFAIL and closes what it holds on its loop; `closed` is called,
  // once, when it may be destroyed.
  virtual void Close(std::function<void()> closed) = 0;
};

}  // namespace pharos::dns
