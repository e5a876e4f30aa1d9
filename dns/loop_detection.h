// Forwarders that ask each other in a circle. Nothing in DNS marks a question's way, so we ask an
// upstream for a name that only we know: if that question reaches us again, by however many others,
// it gets an answer that nobody else has, and that answer tells whoever waits for it. And since
// each of our queries has random letter case (dns/upstream_message.h), a question that is under way
// and comes in with the very letters we sent is our own.
#pragma once

#include <string>
#include <string_view>

#include "base/octets.h"
#include "dns/name.h"
#include "dns/resolver.h"

namespace pharos::dns {

class LoopProbe {
 public:
  static constexpr size_t kNonceOctets = 8;

  // `token` is this process's, at most 63 letters and digits nobody can guess; empty: no probes are
  // made, and none is known.
  explicit LoopProbe(std::string_view token);

  bool enabled() const { return !token_.empty(); }
  // `<nonce>.<token>.test. TXT`. The top-level domain `test` belongs to nobody (RFC 6761 section
  // 6.2); the nonce keeps caches on the way out of it.
  UpstreamQuestion MakeQuestion(Octets nonce) const;
  // Whether a question is one of these probes, of any thread of this process.
  bool IsOwn(const UpstreamQuestion& question) const;
  // What we answer to a probe that has come back, and whether an answer is that.
  UpstreamAnswer MakeAnswer(const UpstreamQuestion& question) const;
  bool IsOwnAnswer(const UpstreamAnswer& answer) const;

 private:
  std::string token_;
};

// Whether `asked` has the very letter case that was sent, and so many letters that this is no
// chance: one in a million.
bool IsOwnSpelling(const Name& sent, const Name& asked);

}  // namespace pharos::dns
