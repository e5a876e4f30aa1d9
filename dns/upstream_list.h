// Whom to ask about which name, and in which order.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/time/time.h"
#include "base/random.h"
#include "dns/name.h"
#include "dns/suffix_map.h"
#include "dns/upstream.h"
#include "dns/upstream_health.h"

namespace pharos::dns {

enum class RecursorStrategy : uint8_t {
  kSequential,  // In the order configured.
  kRandom,      // In a new order for each question.
};

// Who is asked about the names at and below a domain, and nobody else.
struct ForwardZone {
  Name domain;
  std::vector<Upstream> upstreams;
};

// Shared, as questions under way keep those they are about to ask, which a new list may be without.
using UpstreamHandle = std::shared_ptr<UpstreamHealth>;

class UpstreamList {
 public:
  explicit UpstreamList(uint64_t seed) : random_(seed) {}

  // Replaces the list. Of those that stay, what is known stays too.
  void Set(std::span<const Upstream> recursors, std::span<const ForwardZone> zones,
           RecursorStrategy strategy);
  // Whether there is anybody to ask about any name.
  bool empty() const { return all_.empty(); }

  // All who may be asked about a name once, in the order to ask them: first those that answer, then
  // those that are down. Without those that lead back to us.
  std::vector<UpstreamHandle> Plan(const Name& qname);
  // Of those who may be asked about a name, the one that is down and to be tried again now, beside
  // the others; null if there is none.
  UpstreamHandle TakeProbe(const Name& qname, absl::Time now);
  // The same, the one that led back to us and may no longer.
  UpstreamHandle TakeLoopProbe(const Name& qname, absl::Time now);

  // Each once, though several zones have it.
  std::span<const UpstreamHandle> all() const { return all_; }

 private:
  using Group = std::vector<UpstreamHandle>;
  const Group& GroupOf(const Name& qname) const;

  std::vector<UpstreamHandle> all_;
  Group recursors_;
  SuffixMap<Group> zones_;
  RecursorStrategy strategy_ = RecursorStrategy::kSequential;
  Random random_;
};

}  // namespace pharos::dns
