#include "agent/dns_cache.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "dns/worker.h"

namespace pharos::agent {
namespace {

struct Sums {
  uint64_t entries = 0, octets = 0, octets_max = 0;
  uint64_t hits = 0, misses = 0, stale = 0, failures = 0, prefetches = 0, evictions = 0,
           flushed = 0;

  void Add(dns::AnswerCache& cache) {
    const dns::CacheCounters& counters = cache.counters();
    entries += counters.entries.value();
    octets += counters.octets.value();
    octets_max += cache.octets_max();
    hits += counters.hits.value();
    misses += counters.misses.value();
    stale += counters.stale.value();
    failures += counters.failures.value();
    prefetches += counters.prefetches.value();
    evictions += counters.evictions.value();
    flushed += counters.flushed.value();
  }

  void Write(JsonWriter& json) const {
    json.UintField("Entries", entries);
    json.UintField("Bytes", octets);
    json.UintField("BytesMax", octets_max);
    json.UintField("Hits", hits);
    json.UintField("Misses", misses);
    json.UintField("Stale", stale);
    json.UintField("Failures", failures);
    json.UintField("Prefetches", prefetches);
    json.UintField("Evictions", evictions);
    json.UintField("Flushed", flushed);
  }
};

// One upstream, as the threads together see it.
struct UpstreamSums {
  std::string address;
  uint64_t queries = 0, replies = 0, failures = 0;
  bool down = false, looping = false;  // For one thread at least.
  absl::Duration round_trip_sum;
  int round_trips = 0;

  void Add(const dns::UpstreamHealth& health) {
    const dns::UpstreamCounters& counters = health.counters();
    queries += counters.queries.value();
    replies += counters.replies.value();
    failures += counters.failures.value();
    down = down || health.down();
    looping = looping || health.looping();
    if (health.RoundTrip() == absl::ZeroDuration()) return;
    round_trip_sum += health.RoundTrip();
    ++round_trips;
  }

  void Write(JsonWriter& json) const {
    json.BeginObject();
    json.Field("Address", address);
    json.Field("State", looping ? "looping" : down ? "down" : "up");
    json.Key("RoundTripMs");
    if (round_trips == 0) {
      json.Null();
    } else {
      json.Double(absl::ToDoubleMilliseconds(round_trip_sum / round_trips));
    }
    json.UintField("Queries", queries);
    json.UintField("Replies", replies);
    json.UintField("Failures", failures);
    json.EndObject();
  }
};

// All upstreams, in the order configured.
using UpstreamTable = std::vector<UpstreamSums>;

UpstreamSums& RowOf(const std::string& address, UpstreamTable& table) {
  const auto at = std::ranges::find(table, address, &UpstreamSums::address);
  if (at != table.end()) return *at;
  table.emplace_back().address = address;
  return table.back();
}

}  // namespace

dns::UvResolver& ResolverOf(dns::ThreadHandler& handler) {
  return static_cast<dns::UvResolver&>(static_cast<dns::Worker&>(handler).resolver());
}

void DnsCache::SetServer(dns::Server* dns) {
  const std::lock_guard lock(mutex_);
  dns_ = dns;
}

std::string DnsCache::Stats(JsonWriter json) {
  Sums sums;
  UpstreamTable upstreams;
  {
    const std::lock_guard lock(mutex_);
    const auto add = [&](dns::ThreadHandler& handler, int) {
      dns::UvResolver& resolver = ResolverOf(handler);
      sums.Add(resolver.cache());
      sums.hits += static_cast<dns::Worker&>(handler).counters().given_again.value();
      for (const dns::UpstreamHandle& upstream : resolver.upstreams()) {
        RowOf(upstream->upstream().ToString(), upstreams).Add(*upstream);
      }
    };
    if (dns_ != nullptr) dns_->ForEachThread(add);
  }
  json.BeginObject();
  sums.Write(json);
  json.Key("Upstreams");
  json.BeginArray();
  for (const UpstreamSums& upstream : upstreams) upstream.Write(json);
  json.EndArray();
  json.EndObject();
  return json.Take();
}

size_t DnsCache::Flush(const std::optional<dns::Name>& domain) {
  size_t flushed = 0;
  const std::lock_guard lock(mutex_);
  const auto flush = [&](dns::ThreadHandler& handler, int) {
    dns::AnswerCache& cache = ResolverOf(handler).cache();
    flushed += domain ? cache.Flush(*domain) : cache.Flush();
    static_cast<dns::Worker&>(handler).ForgetReplies();
  };
  if (dns_ != nullptr) dns_->ForEachThread(flush);
  return flushed;
}

}  // namespace pharos::agent
