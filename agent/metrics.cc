// What the agent counted, as lines of its log (SIGUSR1).

#include <map>
#include <string>

#include "agent/agent.h"
#include "base/log.h"
#include "dns/uv_resolver.h"
#include "dns/worker.h"

namespace pharos::agent {
namespace {

constexpr const char* kRcodeNames[] = {"noerror",  "formerr", "servfail",
                                       "nxdomain", "notimp",  "refused"};

using Sums = std::map<std::string, uint64_t>;

void AddWorker(const dns::WorkerCounters& counters, Sums& sums) {
  sums["dns.queries.udp"] += counters.queries_udp.value();
  sums["dns.queries.tcp"] += counters.queries_tcp.value();
  sums["dns.dropped"] += counters.dropped.value();
  sums["dns.forwarded"] += counters.forwarded.value();
  sums["dns.resolved"] += counters.resolved.value();
  sums["dns.refused_at_bound"] += counters.refused_at_bound.value();
  for (size_t i = 0; i < std::size(kRcodeNames); ++i) {
    sums[std::string("dns.replies.") + kRcodeNames[i]] += counters.replies_by_rcode[i].value();
  }
}

void AddListeners(const dns::UdpCounters& udp, const dns::TcpCounters& tcp, Sums& sums) {
  sums["dns.udp.received"] += udp.received.value();
  sums["dns.udp.too_short"] += udp.too_short.value();
  sums["dns.udp.sent"] += udp.sent.value();
  sums["dns.udp.send_failed"] += udp.send_failed.value();
  sums["dns.udp.batches"] += udp.batches.value();
  sums["dns.tcp.accepted"] += tcp.accepted.value();
  sums["dns.tcp.open"] += tcp.open.value();
  sums["dns.tcp.closed_idle"] += tcp.closed_idle.value();
  sums["dns.tcp.closed_at_cap"] += tcp.closed_at_cap.value();
  sums["dns.tcp.received"] += tcp.received.value();
  sums["dns.tcp.sent"] += tcp.sent.value();
}

void AddForwarder(const dns::ForwarderCounters& forwarder, const dns::CacheCounters& cache,
                  Sums& sums) {
  sums["forwarder.queries"] += forwarder.queries.value();
  sums["forwarder.replies"] += forwarder.replies.value();
  sums["forwarder.timeouts"] += forwarder.timeouts.value();
  sums["forwarder.failures"] += forwarder.failures.value();
  sums["forwarder.mismatches"] += forwarder.mismatches.value();
  sums["forwarder.wrong_case"] += forwarder.wrong_case.value();
  sums["forwarder.malformed"] += forwarder.malformed.value();
  sums["forwarder.tcp"] += forwarder.tcp.value();
  sums["forwarder.coalesced"] += forwarder.coalesced.value();
  sums["forwarder.dropped"] += forwarder.dropped.value();
  sums["forwarder.unanswered"] += forwarder.unanswered.value();
  sums["forwarder.in_flight"] += forwarder.in_flight.value();
  sums["cache.hits"] += cache.hits.value();
  sums["cache.misses"] += cache.misses.value();
  sums["cache.evictions"] += cache.evictions.value();
  sums["cache.stale"] += cache.stale.value();
  sums["cache.failures"] += cache.failures.value();
  sums["cache.prefetches"] += cache.prefetches.value();
  sums["cache.entries"] += cache.entries.value();
  sums["cache.octets"] += cache.octets.value();
}

}  // namespace

void Agent::LogMetrics() {
  Sums sums;
  if (dns_ != nullptr) {
    dns_->ForEachThread([&sums](dns::ThreadHandler& handler, int) {
      auto& worker = static_cast<dns::Worker&>(handler);
      AddWorker(worker.counters(), sums);
      const auto& resolver = static_cast<const dns::UvResolver&>(worker.resolver());
      AddForwarder(resolver.counters(), resolver.cache_counters(), sums);
    });
    dns_->ForEachListener([&sums](const dns::UdpCounters& udp, const dns::TcpCounters& tcp) {
      AddListeners(udp, tcp, sums);
    });
  }
  {
    const Published<registry::Snapshot>::ReadGuard snapshot(consensus_->published());
    sums["catalog.index"] = snapshot->index();
  }
  for (const auto& [name, value] : sums) PHAROS_LOG(kInfo, "agent.metrics", "%s=%d", name, value);
}

}  // namespace pharos::agent
