// What the recursors answered, remembered: positive and negative answers (RFC 2308), failures
// (RFC 9520), and answers past their TTL for when nobody answers (RFC 8767).
//
// One question's reply is one entry, kept and given back whole: a record is never taken out of it
// to answer another question, so that a reply can poison nothing but the name it was asked about.
// One thread; the time is always an argument.
#pragma once

#include <cstdint>

#include "absl/container/flat_hash_set.h"
#include "absl/time/time.h"
#include "base/counter.h"
#include "dns/cache_entry.h"
#include "dns/resolver.h"

namespace pharos::dns {

// However long the TTL: a mistake upstream is forgotten in a day, a name not yet there in hours
// (RFC 2308 section 5 recommends one to three).
inline constexpr absl::Duration kPositiveLifetimeMax = absl::Hours(24);
inline constexpr absl::Duration kNegativeLifetimeMax = absl::Hours(3);
// How long a failure is remembered, so that a name whose servers are down is not asked for by each
// client in turn (RFC 9520 section 3.2: 1 second to 5 minutes, 5 seconds recommended).
inline constexpr absl::Duration kFailureLifetime = absl::Seconds(5);
// A name that goes on failing is asked for less and less often, up to this: longer would keep names
// away after our own network has come back.
inline constexpr absl::Duration kFailureLifetimeMax = absl::Seconds(40);
inline constexpr size_t kFailuresMax = 4096;
// RFC 8767 section 5: how long past its TTL an answer may serve (1 to 3 days), and with which TTL.
inline constexpr absl::Duration kStaleLifetime = absl::Hours(24);
inline constexpr uint32_t kStaleTtl_s = 30;
// How long stale answers are given at once before upstreams are asked again.
inline constexpr absl::Duration kStaleRecheck = absl::Seconds(30);
// An entry asked for this often since it came, and again in the last tenth of its life, is fetched
// anew before it expires. Below ten seconds of life there is no tenth worth the traffic.
inline constexpr uint32_t kPopularHits = 3;
inline constexpr absl::Duration kPrefetchLifetimeMin = absl::Seconds(10);

struct CacheCounters {
  Counter hits, misses, evictions, stale, failures, prefetches, flushed;
  Counter entries, octets;  // As they stand now.
};

enum class CacheResult : uint8_t {
  kMiss,      // Ask. There may still be a stale answer when that fails.
  kHit,       // `answer` is filled.
  kPrefetch,  // `answer` is filled, and it is time to ask again; said once an entry.
  // Upstreams failed just now: `answer` is filled, with a stale answer or SERVFAIL.
  kFailed,
};

class AnswerCache {
 public:
  // Keeps entries of at most `octets_max` in all, counted as CacheEntry::cost_octets.
  explicit AnswerCache(size_t octets_max) : octets_max_(octets_max) {}
  AnswerCache(const AnswerCache&) = delete;
  AnswerCache& operator=(const AnswerCache&) = delete;
  ~AnswerCache();

  CacheResult Find(const UpstreamQuestion& question, absl::Time now, UpstreamAnswer& answer);
  // When all upstreams have failed: an answer past its TTL, with the TTLs of RFC 8767 section 4.
  bool FindStale(const UpstreamQuestion& question, absl::Time now, UpstreamAnswer& answer);

  // Remembers a NOERROR or NXDOMAIN reply for as long as it says; one that says 0, or is negative
  // without SOA (RFC 2308 section 5), is not kept. One before it that has expired is gone all the
  // same: it must not come back as a stale answer (RFC 8767 section 4).
  void Insert(const UpstreamQuestion& question, const UpstreamAnswer& answer, absl::Time now);
  // Remembers that no upstream had an answer. An answer that is there stays.
  void InsertFailure(const UpstreamQuestion& question, absl::Time now);

  // Forgets everything, or all about a name and those below it; returns how many entries that were.
  size_t Flush();
  size_t Flush(const Name& domain);

  void SetOctetsMax(size_t octets_max);
  size_t octets_max() const { return octets_max_; }
  size_t octets() const { return octets_; }
  size_t size() const { return index_.size(); }
  const CacheCounters& counters() const { return counters_; }

 private:
  // Least recently used first. Failures have a list of their own, so that a flood of names that
  // cannot be resolved is bounded without pushing out answers.
  struct List {
    CacheEntry* oldest = nullptr;
    CacheEntry* newest = nullptr;
    size_t size = 0;
    void PushNewest(CacheEntry* entry);
    void Remove(CacheEntry* entry);
  };
  struct Hash {
    using is_transparent = void;
    size_t operator()(const UpstreamQuestion& question) const;
    size_t operator()(const CacheEntry* entry) const;
  };
  struct Equal {
    using is_transparent = void;
    bool operator()(const CacheEntry* a, const CacheEntry* b) const { return a == b; }
    bool operator()(const CacheEntry* entry, const UpstreamQuestion& question) const {
      return entry->Matches(question);
    }
    bool operator()(const UpstreamQuestion& question, const CacheEntry* entry) const {
      return entry->Matches(question);
    }
  };

  CacheEntry* Lookup(const UpstreamQuestion& question);
  List& ListOf(const CacheEntry* entry) { return entry->failure_only ? failures_ : answers_; }
  void Add(const UpstreamQuestion& question, CacheEntry::Owned entry);
  void Remove(CacheEntry* entry);
  void EvictToFit();
  bool GiveStale(CacheEntry* entry, const UpstreamQuestion& question, absl::Time now,
                 UpstreamAnswer& answer);
  void PublishSize();

  size_t octets_max_;
  size_t octets_ = 0;
  List answers_, failures_;
  absl::flat_hash_set<CacheEntry*, Hash, Equal> index_;  // Owns the entries.
  CacheCounters counters_;
};

// How long `answer` may be kept: 0 if not at all.
absl::Duration AnswerLifetime(const UpstreamQuestion& question, const UpstreamAnswer& answer);

}  // namespace pharos::dns
