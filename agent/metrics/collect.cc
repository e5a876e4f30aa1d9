#include "agent/metrics/collect.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <string>

#include "absl/strings/ascii.h"
#include "agent/checks/check_type.h"
#include "agent/local/leases.h"
#include "agent/version.h"
#include "dns/uv_resolver.h"
#include "dns/worker.h"
#include "http/api.h"
#include "http/server_thread.h"
#include "http/shapes.h"

namespace pharos::agent {
namespace {

constexpr std::array<const char*, 6> kRcodeNames = {"NOERROR",  "FORMERR", "SERVFAIL",
                                                    "NXDOMAIN", "NOTIMP",  "REFUSED"};
constexpr std::array<const char*, 10> kTypeNames = {"A",   "AAAA", "SRV", "TXT",   "PTR",
                                                    "ANY", "SOA",  "NS",  "CNAME", "other"};
static_assert(kTypeNames.size() == dns::kCountedTypes.size() + 1);
constexpr std::array<const char*, 6> kStatusClasses = {"other", "1xx", "2xx", "3xx", "4xx", "5xx"};

void CollectWorker(const dns::WorkerCounters& counters, Families& families) {
  const std::string queries = "pharos_dns_queries_total";
  families.Counter(queries, "DNS messages taken, by transport.", counters.queries_udp.value(),
                   {{"transport", "udp"}});
  families.Counter(queries, "", counters.queries_tcp.value(), {{"transport", "tcp"}});
  for (size_t i = 0; i < kTypeNames.size(); ++i) {
    families.Counter("pharos_dns_questions_total", "DNS questions, by type.",
                     counters.queries_by_type[i].value(), {{"type", kTypeNames[i]}});
  }
  for (size_t i = 0; i < kRcodeNames.size(); ++i) {
    families.Counter("pharos_dns_replies_total", "DNS replies, by RCODE.",
                     counters.replies_by_rcode[i].value(), {{"rcode", kRcodeNames[i]}});
  }
  const std::string cookies = "pharos_dns_cookies_total";
  const std::string cookies_help = "DNS queries with a cookie (RFC 7873), by what it was worth.";
  families.Counter(cookies, cookies_help, counters.cookies_client_only.value(),
                   {{"state", "client_only"}});
  families.Counter(cookies, cookies_help, counters.cookies_valid.value(), {{"state", "valid"}});
  families.Counter(cookies, cookies_help, counters.cookies_invalid.value(), {{"state", "invalid"}});
  families.Counter("pharos_dns_remote_total",
                   "DNS queries that waited for a part of another datacenter's catalog.",
                   counters.remote.value());
  families.Counter("pharos_dns_stale_total",
                   "DNS queries while the catalog was stale, or too old to be served.",
                   counters.stale.value());
  families.Counter("pharos_dns_dropped_total", "DNS messages that get no reply.",
                   counters.dropped.value());
  families.Counter("pharos_dns_forwarded_total", "DNS questions for the recursors.",
                   counters.forwarded.value());
  families.Counter("pharos_dns_resolved_total",
                   "Own DNS answers that needed the recursors for a host name.",
                   counters.resolved.value());
  families.Counter("pharos_dns_refused_recursion_total",
                   "DNS questions about outside names, of clients who may not ask them.",
                   counters.refused_recursion.value());
  // They came from the cache within this second.
  families.Counter("pharos_cache_hits_total", "Questions answered from the cache.",
                   counters.given_again.value());
  families.Counter("pharos_dns_rebindings_total",
                   "Answers of recursors withheld because of private addresses.",
                   counters.rebindings.value());
  families.Counter("pharos_dns_refused_at_bound_total",
                   "DNS questions answered SERVFAIL because too many were under way.",
                   counters.refused_at_bound.value());
  families.Counter("pharos_dns_refused_at_client_bound_total",
                   "DNS questions answered SERVFAIL because too many of that client were waiting.",
                   counters.refused_at_client_bound.value());
  families.Counter("pharos_dns_shed_total",
                   "DNS questions given up, by where, to make room for newer ones.",
                   counters.shed.value(), {{"where", "recursors"}});
  families.Histogram("pharos_dns_answer_seconds",
                     "Time from a batch's first query to its last answer, for each query of every "
                     "16th batch.",
                     counters.latency);
}

// Nothing is counted where nothing is limited, but the families are there.
void CollectRateLimit(const dns::RateLimiter* limiter, Families& families) {
  const std::string limited = "pharos_dns_rate_limited_total";
  families.Counter(limited, "DNS replies over the rate limit, by what became of them.",
                   limiter == nullptr ? 0 : limiter->counters().dropped.value(),
                   {{"verdict", "dropped"}});
  families.Counter(limited, "", limiter == nullptr ? 0 : limiter->counters().slipped.value(),
                   {{"verdict", "slipped"}});
  families.Counter("pharos_dns_rate_limit_evictions_total",
                   "Buckets of the rate limit in use that others took the place of.",
                   limiter == nullptr ? 0 : limiter->counters().evictions.value());
}

void CollectListeners(const dns::UdpCounters& udp, const dns::TcpCounters& tcp,
                      Families& families) {
  families.Counter("pharos_dns_udp_too_short_total", "UDP datagrams too short for a DNS header.",
                   udp.too_short.value());
  families.Counter("pharos_dns_udp_send_failed_total", "UDP replies that could not be sent.",
                   udp.replies.send_failed.value());
  families.Counter("pharos_dns_udp_merged_total",
                   "UDP replies that left in one message with others to the same client.",
                   udp.replies.merged.value());
  families.Counter("pharos_dns_shed_total", "", udp.shed.value(), {{"where", "socket"}});
  families.Counter("pharos_dns_udp_kernel_dropped_total",
                   "UDP datagrams that the kernel dropped as a socket's queue was full.",
                   udp.kernel_dropped.value());
  families.Counter("pharos_dns_udp_batches_total", "Batches of UDP datagrams.",
                   udp.batches.value());
  families.Gauge("pharos_dns_tcp_connections", "Open TCP connections of DNS clients.",
                 static_cast<double>(tcp.open.value()));
  families.Counter("pharos_dns_tcp_accepted_total", "TCP connections of DNS clients.",
                   tcp.accepted.value());
  const std::string closed = "pharos_dns_tcp_closed_total";
  families.Counter(closed, "TCP connections of DNS clients that were closed, by reason.",
                   tcp.closed_idle.value(), {{"reason", "idle"}});
  families.Counter(closed, "", tcp.closed_under_pressure.value(), {{"reason", "pressure"}});
  families.Counter(closed, "", tcp.closed_at_cap.value(), {{"reason", "connection cap"}});
  families.Counter(closed, "", tcp.closed_at_client_cap.value(), {{"reason", "client cap"}});
  families.Counter("pharos_dns_tcp_refused_total",
                   "TCP connections of DNS clients closed at once, as that client had too many.",
                   tcp.refused_at_client_cap.value());
}

void CollectUpstream(const dns::UpstreamHealth& health, Families& families) {
  const Labels upstream = {{"upstream", health.upstream().ToString()}};
  const dns::UpstreamCounters& counters = health.counters();
  families.Counter("pharos_upstream_queries_total", "Queries sent, by recursor.",
                   counters.queries.value(), upstream);
  families.Counter("pharos_upstream_replies_total", "Replies taken, by recursor.",
                   counters.replies.value(), upstream);
  families.Counter("pharos_upstream_failures_total",
                   "Queries that timed out, were refused or whose connection broke, by recursor.",
                   counters.failures.value(), upstream);
  families.Gauge("pharos_upstream_down",
                 "DNS threads that pass the recursor over because it does not answer.",
                 counters.down.value() == 0 ? 0 : 1, upstream);
  families.Gauge("pharos_upstream_looping",
                 "DNS threads that do not ask the recursor because it asks this agent.",
                 counters.looping.value() == 0 ? 0 : 1, upstream);
  families.Histogram("pharos_upstream_round_trip_seconds", "Time to a reply, by recursor.",
                     counters.round_trips, upstream);
}

void CollectConnections(const dns::UvResolver& resolver, Families& families) {
  const dns::DotCounters& tls = resolver.dot_counters();
  families.Gauge("pharos_forwarder_tls_connections", "Connections to recursors by TLS.",
                 static_cast<double>(tls.open.value()));
  families.Counter("pharos_forwarder_tls_connections_total",
                   "Connections to recursors by TLS that were begun.", tls.connections.value());
  families.Counter("pharos_forwarder_tls_failures_total",
                   "Connections to recursors by TLS that came to nothing.", tls.failures.value());
  families.Counter("pharos_forwarder_tcp_refused_total",
                   "Queries not sent over TCP because too many connections were open.",
                   resolver.tcp_refused().value());
}

void CollectForwarder(const dns::ForwarderCounters& forwarder, const dns::CacheCounters& cache,
                      Families& families) {
  families.Counter("pharos_forwarder_queries_total", "Queries sent to recursors.",
                   forwarder.queries.value());
  families.Counter("pharos_forwarder_replies_total", "Replies of recursors that were taken.",
                   forwarder.replies.value());
  const std::string failed = "pharos_forwarder_failures_total";
  families.Counter(failed, "Queries to recursors without a good reply, by reason.",
                   forwarder.timeouts.value(), {{"reason", "timeout"}});
  families.Counter(failed, "", forwarder.failures.value(), {{"reason", "failure"}});
  families.Counter(failed, "", forwarder.mismatches.value(), {{"reason", "mismatch"}});
  families.Counter(failed, "", forwarder.wrong_case.value(), {{"reason", "wrong case"}});
  families.Counter(failed, "", forwarder.malformed.value(), {{"reason", "malformed"}});
  families.Counter("pharos_forwarder_tcp_total", "Queries to recursors repeated over TCP.",
                   forwarder.tcp.value());
  families.Counter("pharos_forwarder_tls_total", "Queries to recursors over TLS.",
                   forwarder.tls.value());
  families.Counter("pharos_forwarder_loops_total", "Own questions that came back to this agent.",
                   forwarder.loops.value());
  families.Counter("pharos_forwarder_coalesced_total",
                   "Questions that joined one under way for the same.",
                   forwarder.coalesced.value());
  families.Counter("pharos_forwarder_dropped_total",
                   "Questions given up because too many were under way.",
                   forwarder.dropped.value());
  families.Counter("pharos_forwarder_unanswered_total", "Questions that no recursor answered.",
                   forwarder.unanswered.value());
  families.Gauge("pharos_forwarder_in_flight", "Questions under way at recursors.",
                 static_cast<double>(forwarder.in_flight.value()));
  families.Counter("pharos_cache_hits_total", "Questions answered from the cache.",
                   cache.hits.value());
  families.Counter("pharos_cache_misses_total", "Questions that the cache did not have.",
                   cache.misses.value());
  families.Counter("pharos_cache_evictions_total", "Answers that left the full cache.",
                   cache.evictions.value());
  families.Counter("pharos_cache_stale_total",
                   "Expired answers given because no recursor answered.", cache.stale.value());
  families.Counter("pharos_cache_failures_total", "Remembered failures given.",
                   cache.failures.value());
  families.Counter("pharos_cache_prefetches_total", "Answers asked for anew before they expired.",
                   cache.prefetches.value());
  families.Counter("pharos_cache_flushed_total", "Answers removed by request.",
                   cache.flushed.value());
  families.Gauge("pharos_cache_entries", "Answers in the cache.",
                 static_cast<double>(cache.entries.value()));
  families.Gauge("pharos_cache_bytes", "Octets that the cache holds.",
                 static_cast<double>(cache.octets.value()));
}

// The resident memory, by /proc/self/statm.
double ResidentOctets() {
  std::ifstream file("/proc/self/statm");
  uint64_t total_pages = 0, resident_pages = 0;
  file >> total_pages >> resident_pages;
  return static_cast<double>(resident_pages) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

double OpenFiles() {
  std::error_code error;
  int count = 0;
  for (std::filesystem::directory_iterator file("/proc/self/fd", error), end; !error && file != end;
       file.increment(error)) {
    ++count;
  }
  return std::max(count - 1, 0);  // One of them reads the folder.
}

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

void CollectRaft(const cluster::CatalogAccess& consensus, Families& families) {
  const cluster::ConsensusCounters& counters = consensus.counters();
  const auto gauge = [&families](const char* name, const char* help, double value) {
    families.Gauge(name, help, value);
  };
  const auto counter = [&families](const char* name, const char* help, uint64_t value) {
    families.Counter(name, help, static_cast<double>(value));
  };
  gauge("pharos_raft_leader", "1: this server leads.", consensus.is_leader() ? 1 : 0);
  gauge("pharos_raft_has_leader", "1: this server knows of a leader.",
        consensus.has_leader() ? 1 : 0);
  gauge("pharos_raft_last_contact_seconds", "Since the leader was heard; 0 on the leader.",
        absl::ToDoubleSeconds(consensus.last_contact()));
  gauge("pharos_raft_term", "Present term.", static_cast<double>(counters.term));
  gauge("pharos_raft_commit_index", "Newest log entry that is committed.",
        static_cast<double>(counters.commit_index));
  gauge("pharos_raft_applied_index", "Newest log entry that is applied.",
        static_cast<double>(counters.applied_index));
  gauge("pharos_raft_last_index", "Newest log entry.", static_cast<double>(counters.last_index));
  gauge("pharos_raft_snapshot_index", "Newest log entry in the last snapshot.",
        static_cast<double>(counters.snapshot_index));
  gauge("pharos_raft_voters", "Servers that vote.", static_cast<double>(counters.voters));
  counter("pharos_raft_leader_changes_total", "Leaders that this server has known.",
          counters.leader_changes);
  counter("pharos_raft_forwarded_total", "Changes sent on to the leader.", counters.forwarded);
  counter("pharos_raft_unknown_outcomes_total",
          "Changes of which nobody could say whether they were made.", counters.unknown_outcomes);
  counter("pharos_raft_confirm_rounds_total",
          "Times that this leader asked whether it still leads.", counters.confirm_rounds);
  counter("pharos_raft_snapshots_taken_total", "Snapshots written.", counters.snapshots_taken);
  counter("pharos_raft_snapshots_installed_total", "Snapshots taken over from a leader.",
          counters.snapshots_installed);
  counter("pharos_raft_snapshots_sent_total", "Snapshots sent to others.", counters.snapshots_sent);
  counter("pharos_raft_messages_dropped_total",
          "Messages to other servers dropped because too many were waiting, or nobody was there.",
          counters.messages_dropped);
  counter("pharos_raft_inbox_dropped_total",
          "Messages from other servers dropped because too many were waiting.",
          counters.inbox_dropped);
  counter("pharos_raft_disk_full_total", "Times that the disk of the log was full.",
          counters.disk_full);
}

}  // namespace

void CollectDns(dns::Server& dns, Families& families) {
  dns.ForEachThread([&families](dns::ThreadHandler& handler, int) {
    auto& worker = static_cast<dns::Worker&>(handler);
    CollectWorker(worker.counters(), families);
    CollectRateLimit(worker.rate_limiter(), families);
    const auto& resolver = static_cast<const dns::UvResolver&>(worker.resolver());
    CollectForwarder(resolver.counters(), resolver.cache_counters(), families);
    CollectConnections(resolver, families);
    for (const dns::UpstreamHandle& upstream : resolver.upstreams()) {
      CollectUpstream(*upstream, families);
    }
  });
  dns.ForEachListener([&families](const dns::UdpCounters& udp, const dns::TcpCounters& tcp) {
    CollectListeners(udp, tcp, families);
  });
}

void CollectTaps(const TapCounts& counts, Families& families) {
  families.Gauge("pharos_dnstap_connected", "1 while a dnstap collector is connected.",
                 counts.dnstap.connected ? 1 : 0);
  families.Counter("pharos_dnstap_sent_total", "dnstap frames sent.",
                   static_cast<double>(counts.dnstap.sent));
  const std::string dropped = "pharos_dnstap_dropped_total";
  families.Counter(dropped, "dnstap frames dropped, by reason.",
                   static_cast<double>(counts.dnstap.dropped_queue_full),
                   {{"reason", "queue full"}});
  families.Counter(dropped, "", static_cast<double>(counts.dnstap.dropped_unconnected),
                   {{"reason", "not connected"}});
  families.Counter("pharos_query_log_lines_total", "Lines written to the query log.",
                   static_cast<double>(counts.log_lines));
  families.Counter("pharos_query_log_dropped_total",
                   "Lines that the query log's queue or file did not take.",
                   static_cast<double>(counts.log_dropped));
}

void CollectHttp(http::Server& http, Families& families) {
  http.ForEachEndpoint([&families](std::string_view group, const http::EndpointCounters& endpoint) {
    const std::string name(group);
    for (size_t i = 0; i < kStatusClasses.size(); ++i) {
      const uint64_t count = endpoint.responses[i].value();
      // Only classes that were seen, but one, so that the family is always there.
      if (count == 0 && i != 2) continue;
      families.Counter("pharos_http_responses_total",
                       "HTTP responses, by part of the API and class of status.", count,
                       {{"endpoint", name}, {"status", kStatusClasses[i]}});
    }
    families.Histogram("pharos_http_request_seconds",
                       "Time from a whole request to its answer, of requests that do not wait for "
                       "a change.",
                       endpoint.duration, {{"endpoint", name}});
  });
  const http::ServerCounters counters = http.counters();
  families.Gauge("pharos_http_connections", "Open HTTP connections.",
                 static_cast<double>(counters.open));
  families.Counter("pharos_http_accepted_total", "HTTP connections.", counters.accepted);
  const std::string refused = "pharos_http_refused_total";
  families.Counter(refused, "HTTP connections and requests that were refused, by reason.",
                   counters.closed_at_cap, {{"reason", "connection cap"}});
  families.Counter(refused, "", counters.closed_at_client_cap, {{"reason", "client cap"}});
  families.Counter(refused, "", counters.malformed, {{"reason", "malformed"}});
  families.Counter(refused, "", counters.timed_out, {{"reason", "timeout"}});
  families.Counter(refused, "", counters.too_large, {{"reason", "too large"}});
  families.Counter(refused, "", counters.tls_failed, {{"reason", "TLS"}});
  families.Counter("pharos_http_received_bytes_total", "Octets from HTTP clients.",
                   counters.octets_in);
  families.Counter("pharos_http_sent_bytes_total", "Octets to HTTP clients.", counters.octets_out);
  http.ForEachThread([&families](http::ThreadHandler& handler, int) {
    const http::WatcherCounters watchers = static_cast<http::Api&>(handler).watchers().counters();
    families.Gauge("pharos_http_blocking_queries", "HTTP requests that wait for a change.",
                   static_cast<double>(watchers.waiting));
    const std::string ended = "pharos_http_blocking_queries_ended_total";
    families.Counter(ended, "HTTP requests that waited for a change, by how that ended.",
                     watchers.woken, {{"by", "change"}});
    families.Counter(ended, "", watchers.timed_out, {{"by", "timeout"}});
    families.Counter("pharos_http_encoded_total", "Answers from the catalog made into JSON.",
                     watchers.encoded);
  });
}

void CollectGrpc(const rpc::RpcCounters& counters, Families& families) {
  const std::string streams = "pharos_grpc_streams";
  families.Gauge(streams, "gRPC streams that are open, by kind.",
                 static_cast<double>(counters.hold_streams), {{"kind", "hold"}});
  families.Gauge(streams, "", static_cast<double>(counters.watch_streams), {{"kind", "watch"}});
  families.Gauge(streams, "", static_cast<double>(counters.health_streams), {{"kind", "health"}});
  families.Gauge(streams, "", static_cast<double>(counters.xds_streams), {{"kind", "xds"}});
  families.Counter("pharos_grpc_calls_total", "Unary gRPC calls taken.", counters.calls);
  families.Counter("pharos_grpc_invalid_total", "gRPC requests refused as invalid.",
                   counters.invalid);
  families.Counter("pharos_grpc_streams_refused_total",
                   "gRPC streams refused because too many were open.", counters.refused_streams);
  families.Counter("pharos_grpc_streams_stalled_total",
                   "gRPC streams ended because their client did not read.", counters.stalled);
  families.Counter("pharos_grpc_holds_lost_total", "Hold streams that ended without a release.",
                   counters.lost_streams);
  families.Gauge("pharos_grpc_views", "Different sets kept for gRPC watchers.",
                 static_cast<double>(counters.views));
  families.Counter("pharos_grpc_encoded_total", "Messages made for gRPC watchers.",
                   counters.encoded);
  families.Counter("pharos_grpc_sent_total", "Messages sent to gRPC watchers.", counters.sent);
  families.Counter("pharos_grpc_caught_up_total",
                   "gRPC watchers that were behind and got the full set.", counters.caught_up);
  families.Counter("pharos_grpc_xds_nacks_total", "xDS resources that a client refused.",
                   counters.xds_nacks);
  families.Histogram("pharos_grpc_hold_change_seconds",
                     "From a holder's request until it is answered.", counters.hold_changes);
}

void CollectParts(const cluster::RemoteCatalogCounters& counters, Families& families) {
  const auto counter = [&families](const char* name, const char* help, uint64_t value) {
    families.Counter(name, help, static_cast<double>(value));
  };
  families.Gauge("pharos_parts", "Parts of catalogs that are kept.",
                 static_cast<double>(counters.parts));
  families.Gauge("pharos_parts_bytes", "Octets of these.",
                 static_cast<double>(counters.part_octets));
  counter("pharos_parts_wanted_total", "Times that one was asked for that was not there.",
          counters.wanted);
  counter("pharos_parts_refused_total", "Times that there was no room for one.", counters.refused);
  counter("pharos_parts_failed_total", "Times that one was not told any more.", counters.failed);
  counter("pharos_parts_idle_total", "Parts let go as nobody used them.", counters.idle);
  counter("pharos_parts_evicted_total", "Parts let go to make room for others.", counters.evicted);
  counter("pharos_parts_messages_total", "Parts taken as they changed.", counters.messages);
  counter("pharos_parts_octets_total", "Octets of these.", counters.octets);
  counter("pharos_parts_kept_total", "Times that all were written to disk.", counters.kept);
  counter("pharos_parts_keep_failures_total", "Times that they could not be.",
          counters.keep_failures);
  counter("pharos_forwarded_http_total", "HTTP requests that another agent was asked to answer.",
          counters.http);
}

namespace {

// Of a client agent, how it follows the servers; of a server, how it is followed.
void CollectReplication(const cluster::CatalogAccess& catalog, Families& families) {
  const auto gauge = [&families](const char* name, const char* help, uint64_t value) {
    families.Gauge(name, help, static_cast<double>(value));
  };
  const auto counter = [&families](const char* name, const char* help, uint64_t value) {
    families.Counter(name, help, static_cast<double>(value));
  };
  if (const cluster::ReplicaCounters* const replica = catalog.replica_counters()) {
    gauge("pharos_replica_connected", "1: the catalog of a server is followed.",
          replica->connected);
    gauge("pharos_replica_index", "Newest log entry in the copy of the catalog.", replica->index);
    gauge("pharos_replica_last_contact_seconds", "Since the leader was heard, by way of a server.",
          static_cast<uint64_t>(absl::ToInt64Seconds(catalog.last_contact())));
    counter("pharos_replica_moves_total", "Times that a server was begun to be followed.",
            replica->moves);
    counter("pharos_replica_failures_total", "Times that a server failed while it was followed.",
            replica->failures);
    counter("pharos_replica_images_total", "Whole catalogs taken from servers.", replica->images);
    counter("pharos_replica_changes_total", "Changes taken from servers.", replica->changes);
    counter("pharos_replica_octets_total", "Octets of both.", replica->octets);
    counter("pharos_replica_forwarded_total", "Changes sent to a server.", replica->forwarded);
    counter("pharos_replica_reads_asked_total", "Times a server was asked how new reads must be.",
            replica->reads_asked);
    counter("pharos_replica_local_changes_total",
            "Changes of this node seen here while no server could be reached.",
            replica->local_changes);
    counter("pharos_replica_kept_total", "Times that the copy was written to disk.", replica->kept);
    counter("pharos_replica_keep_failures_total", "Times that it could not be.",
            replica->keep_failures);
    gauge("pharos_replica_kept_bytes", "Size of the copy on disk.", replica->kept_octets);
  }
  if (const cluster::CatalogStreamCounters* const stream = catalog.stream_counters()) {
    gauge("pharos_stream_followers", "Agents that follow this server's catalog.",
          stream->followers);
    gauge("pharos_stream_ring_changes", "Changes kept for those who follow.", stream->ring_changes);
    gauge("pharos_stream_ring_bytes", "Octets of these.", stream->ring_octets);
    counter("pharos_stream_refused_total",
            "Agents refused: too many follow, or they are of another datacenter.", stream->refused);
    counter("pharos_stream_resumed_total", "Agents that went on where they were.", stream->resumed);
    counter("pharos_stream_images_made_total", "Whole catalogs made for those who follow.",
            stream->images_made);
    counter("pharos_stream_images_sent_total", "Whole catalogs begun to be sent.",
            stream->images_sent);
    counter("pharos_stream_left_behind_total",
            "Agents that took changes too slowly, and got the whole catalog instead.",
            stream->left_behind);
    counter("pharos_stream_messages_total", "Messages sent to those who follow.", stream->messages);
    counter("pharos_stream_octets_total", "Octets of these.", stream->octets);
  }
}

}  // namespace

CatalogCounts CollectCatalog(const cluster::CatalogAccess& consensus, absl::Time now,
                             Families& families) {
  std::array<uint64_t, 3> instances{}, checks{};
  uint64_t nodes = 0, services = 0, index = 0;
  int64_t changed_unix_s = 0;
  {
    const Published<registry::Snapshot>::ReadGuard snapshot(consensus.published());
    index = snapshot->index();
    changed_unix_s = snapshot->changed_unix_s();
    nodes = snapshot->node_count();
    services = snapshot->service_count();
    snapshot->ForEachService([&](const registry::ServiceEntry& service) {
      for (const auto& instance : service.instances) {
        ++instances[static_cast<size_t>(instance->health)];
      }
    });
    snapshot->ForEachNode([&](const registry::NodeEntry& node) {
      for (const auto& check : node.checks) ++checks[static_cast<size_t>(check->status)];
    });
  }
  families.Gauge("pharos_catalog_index", "Index of the catalog that is served.",
                 static_cast<double>(index));
  families.Gauge("pharos_catalog_age_seconds", "Since the catalog last changed.",
                 static_cast<double>(absl::ToUnixSeconds(now) - changed_unix_s));
  families.Gauge("pharos_catalog_nodes", "Nodes in the catalog.", static_cast<double>(nodes));
  families.Gauge("pharos_catalog_services", "Services in the catalog, by name.",
                 static_cast<double>(services));
  for (size_t i = 0; i < instances.size(); ++i) {
    const std::string status(http::HealthName(static_cast<registry::Health>(i)));
    families.Gauge("pharos_catalog_instances", "Service instances in the catalog, by health.",
                   static_cast<double>(instances[i]), {{"status", status}});
    families.Gauge("pharos_catalog_checks", "Health checks in the catalog, by status.",
                   static_cast<double>(checks[i]), {{"status", status}});
  }
  const cluster::ConsensusCounters& counters = consensus.counters();
  families.Counter("pharos_consensus_proposals_total", "Changes of the catalog proposed here.",
                   counters.proposals);
  families.Counter("pharos_consensus_refused_total",
                   "Proposals refused because too many were waiting.", counters.refused);
  families.Counter("pharos_consensus_publications_total", "Catalogs made visible.",
                   counters.publications);
  if (consensus.replica_counters() == nullptr) CollectRaft(consensus, families);
  CollectReplication(consensus, families);
  return {.nodes = nodes,
          .services = services,
          .instances = std::accumulate(instances.begin(), instances.end(), uint64_t{0})};
}

void CollectLocal(const LocalAgent& local, absl::Time now, Families& families) {
  const RunnerCounts counts = local.check_counts();
  for (size_t type = 0; type < kCheckTypes; ++type) {
    for (size_t status = 0; status < 3; ++status) {
      families.Gauge(
          "pharos_checks", "Health checks of this agent, by type and status.",
          static_cast<double>(counts.checks[type][status]),
          {{"type", std::string(TypeWord(static_cast<CheckType>(type)))},
           {"status", std::string(http::HealthName(static_cast<registry::Health>(status)))}});
    }
  }
  families.Counter("pharos_check_runs_total", "Runs of health checks begun.", counts.runs);
  families.Counter("pharos_check_timeouts_total", "Runs of health checks that took too long.",
                   counts.timeouts);
  families.Gauge("pharos_check_running", "Health checks running.",
                 static_cast<double>(counts.running));
  families.Gauge("pharos_check_waiting", "Health checks that are due and wait for their turn.",
                 static_cast<double>(counts.waiting));
  families.Gauge("pharos_check_processes", "Processes of script checks.",
                 static_cast<double>(counts.children));
  const LeaseCounts leases = local.leases().counts();
  families.Gauge("pharos_leases", "Leases of this agent, by whether their holder is there.",
                 static_cast<double>(leases.leases - leases.orphans), {{"holder", "present"}});
  families.Gauge("pharos_leases", "", static_cast<double>(leases.orphans), {{"holder", "away"}});
  families.Gauge("pharos_lease_instances", "Service instances held by leases.",
                 static_cast<double>(leases.instances));
  families.Counter("pharos_leases_expired_total", "Leases that ended without a release.",
                   leases.expired);
  families.Counter("pharos_leases_refused_total", "Leases refused at a bound, new or enlarged.",
                   leases.refused);
  families.Gauge("pharos_agent_services", "Services registered at this agent.",
                 static_cast<double>(local.state().services.size()));
  families.Gauge("pharos_agent_sync_age_seconds",
                 "Since the catalog was last found in step with this agent; -1: never.",
                 local.last_sync() == absl::InfinitePast()
                     ? -1
                     : absl::ToDoubleSeconds(now - local.last_sync()));
  families.Counter("pharos_agent_sync_failures_total",
                   "Changes of this agent that the catalog did not take at once.",
                   local.sync_failures());
}

void CollectProcess(absl::Time started, Families& families) {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  families.Gauge("process_resident_memory_bytes", "Resident memory.", ResidentOctets());
  families.Counter("process_cpu_seconds_total", "CPU time spent, user and system.",
                   Seconds(usage.ru_utime) + Seconds(usage.ru_stime));
  families.Gauge("process_open_fds", "Open file descriptors.", OpenFiles());
  families.Gauge("process_start_time_seconds", "When the process started, Unix time.",
                 absl::ToDoubleSeconds(started - absl::UnixEpoch()));
  families.Gauge("pharos_build_info", "1; its label says the version.", 1,
                 {{"version", std::string(kVersion)}});
}

}  // namespace pharos::agent
