// Answers to questions about names in our zones, and reverse names of what is registered.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/ip_address.h"
#include "base/octets.h"
#include "base/random.h"
#include "dns/answer_config.h"
#include "dns/cookie.h"
#include "dns/explanation.h"
#include "dns/query.h"
#include "dns/resolver.h"
#include "registry/freshness.h"
#include "registry/remote_catalogs.h"
#include "registry/snapshot.h"

namespace pharos::dns {

// What the recursors said of host names that answers lead to.
struct ExternalAnswer {
  UpstreamQuestion question;
  UpstreamAnswer answer;
};

// What is known of other datacenters, and how names of theirs are answered.
struct OtherDatacenters {
  const registry::RemoteCatalogs& catalogs;
  // The thread's, made when a datacenter is first asked about; dropped when the configuration is.
  std::map<std::string, std::shared_ptr<const AnswerConfig>, std::less<>>& configs;

  // As `own`, but for being of the datacenter; null for a name that leaves no room for names.
  const AnswerConfig* ConfigFor(const AnswerConfig& own, const std::string& datacenter) const;
};

// A part of another datacenter's catalog that an answer is made from and that is not there.
struct NeededPart {
  std::string datacenter, part;
  friend bool operator==(const NeededPart&, const NeededPart&) = default;
};

// Memory that one thread reuses from answer to answer, so that none allocates in the common case.
struct AnswerScratch {
  std::array<uint32_t, 64> few;  // What is drawn from so few or fewer.
  std::vector<uint32_t> order;
  std::vector<uint32_t> stamps;
  uint32_t stamp = 0;
  std::vector<std::pair<double, uint32_t>> keys;
  std::vector<uint8_t> ranks;
  std::vector<uint32_t> ranked, positions_of_rank;
  std::vector<uint64_t> sums_of_rank;
};

struct AnswerContext {
  const AnswerConfig& config;
  const registry::Snapshot& snapshot;
  Transport transport;
  Random& random;
  AnswerScratch& scratch;
  // What was resolved for this query so far; empty at first.
  const std::vector<ExternalAnswer>& external;
  // Whether more may be resolved; else names that are not in `external` are left as they are, and
  // reverse names are answered as if there were no recursors.
  bool may_resolve = true;
  // Who asks, and over TCP, how long its connection may be idle.
  IpAddress client = {};
  absl::Duration idle_timeout = absl::ZeroDuration();
  // What judges cookies, by which clock; null: cookies mean nothing. Both or neither.
  CookieMaker* cookies = nullptr;
  const Clock* clock = nullptr;
  // How far the snapshot may be believed.
  registry::Freshness freshness = registry::Freshness::kFresh;
  // Null: no other datacenter is known of.
  const OtherDatacenters* others = nullptr;
  // Of which the snapshot is; null: the whole catalog.
  const registry::PartUses* parts = nullptr;
  // The datacenter `any` means this one, and where that has no healthy instances of the service,
  // the outcome is kElsewhere.
  bool is_any = false;
  // Where the answer is made from another datacenter's catalog, what it would be made from here.
  const AnswerContext* home = nullptr;
  // How many times the answer has gone on to another datacenter by the name of a host.
  int depth = 0;
  // Where the prepared query stands that this answer is for; null: in the snapshot.
  const registry::Snapshot* query_snapshot = nullptr;
  // Parts that were asked for on behalf of this query, and cannot be had.
  const std::vector<NeededPart>* unavailable = nullptr;
  // Where the steps to the answer are told; null: nobody wants to know.
  Explanation* explanation = nullptr;
};

// The same for an agent that has no more than parts of its own datacenter's catalog, which `others`
// has as one more.
AnswerContext WithOwnParts(const AnswerContext& context);

enum class Outcome : uint8_t {
  kReply,      // The reply is written.
  kDrop,       // None is due.
  kForward,    // Not ours: the recursors are to be asked the question itself.
  kNeedsPart,  // `part` is to be had, and the query handled again.
  kResolve,    // Host names (`needed`) are to be resolved, and the query handled again with them.
  kElsewhere,  // Only with `is_any`.
};

struct Handled {
  Outcome outcome = Outcome::kDrop;
  size_t reply_octets = 0;                     // kReply
  std::vector<UpstreamQuestion> needed;        // kResolve; bounded by kExternalNamesMax
  std::unique_ptr<NeededPart> part = nullptr;  // kNeedsPart
};

// How many host names one answer may need resolved. More are left unresolved: the client asks.
inline constexpr size_t kExternalNamesMax = 16;

// Answers a parsed query into `reply` (room for the largest message of the transport).
Handled Answer(const Query& query, const AnswerContext& context, MutableOctets reply);

}  // namespace pharos::dns
