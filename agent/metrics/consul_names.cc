#include "agent/metrics/consul_names.h"

#include <algorithm>

#include "absl/strings/str_replace.h"
#include "dns/worker.h"
#include "http/api.h"

namespace pharos::agent {
namespace {

using prometheus::MetricType;

// Adds metrics by the names that Consul writes with dots: `raft.commitTime` is
// `consul_raft_commitTime` for Prometheus and `consul.raft.commitTime` in JSON.
class Adder {
 public:
  Adder(const TelemetryOptions& options, Families& families)
      : options_(options), families_(families) {}

  void Counter(const std::string& name, const std::string& help, double value,
               const Labels& labels = {}) {
    families_.Counter(Declare(name, help, MetricType::Counter), help, value, labels);
  }
  // The family alone, as it may have no values yet.
  void CounterFamily(const std::string& name, const std::string& help) {
    Declare(name, help, MetricType::Counter);
  }
  void Gauge(const std::string& name, const std::string& help, double value,
             const Labels& labels = {}) {
    const std::string full = options_.host_name.empty() ? name : options_.host_name + "." + name;
    families_.Gauge(Declare(full, help, MetricType::Gauge), help, value, labels);
  }
  void Summary(const std::string& name, const std::string& help, const Durations& durations,
               double events, const Labels& labels = {}) {
    families_.Summary(Declare(name, help, MetricType::Summary), help, durations, events, labels);
  }
  void Summary(const std::string& name, const std::string& help,
               const DurationHistogram& histogram) {
    Durations durations;
    durations.Add(histogram);
    Summary(name, help, durations, static_cast<double>(durations.count()));
  }

 private:
  std::string Declare(const std::string& name, const std::string& help, MetricType type) {
    const std::string dotted = options_.prefix + "." + name;
    std::string full =
        absl::StrReplaceAll(dotted, {{".", "_"}, {"-", "_"}, {" ", "_"}, {"=", "_"}, {"/", "_"}});
    families_.Declare(full, dotted, help, type);
    return full;
  }

  const TelemetryOptions& options_;
  Families& families_;
};

struct DnsCounts {
  uint64_t questions = 0, reverse = 0, forwarded = 0, reverse_forwarded = 0;
  Durations durations;
};

DnsCounts CountDns(dns::Server* dns) {
  DnsCounts counts;
  if (dns == nullptr) return counts;
  const auto* const ptr =
      std::find(dns::kCountedTypes.begin(), dns::kCountedTypes.end(), dns::RrType::kPtr);
  const auto reverse = static_cast<size_t>(ptr - dns::kCountedTypes.begin());
  dns->ForEachThread([&](dns::ThreadHandler& handler, int) {
    const dns::WorkerCounters& worker = static_cast<dns::Worker&>(handler).counters();
    for (const pharos::Counter& type : worker.queries_by_type) counts.questions += type.value();
    counts.reverse += worker.queries_by_type[reverse].value();
    counts.forwarded += worker.forwarded.value();
    counts.reverse_forwarded += worker.reverse_forwarded.value();
    counts.durations.Add(worker.latency);
  });
  return counts;
}

// Returns how many questions our zones were asked.
uint64_t AddDns(dns::Server* dns, const std::string& node_name, Adder& adder) {
  const DnsCounts counts = CountDns(dns);
  // A question is counted before what becomes of it, and this reads without a lock.
  const uint64_t elsewhere = counts.reverse + counts.forwarded - counts.reverse_forwarded;
  const uint64_t ours = counts.questions - std::min(elsewhere, counts.questions);
  const Labels labels = {{"node", node_name}};
  adder.Summary("dns.domain_query", "DNS questions about our zones, in milliseconds.",
                counts.durations, static_cast<double>(ours), labels);
  adder.Summary("dns.ptr_query", "DNS questions for the name of an address, in milliseconds.",
                counts.durations, static_cast<double>(counts.reverse), labels);
  adder.Counter("dns.stale_queries", "DNS answers older than 5 seconds: none.", 0);
  return ours;
}

// Of all HTTP threads.
struct HttpCounts {
  uint64_t reads = 0, waiting = 0;
  std::map<http::ServiceQueryCounts::Key, http::ServiceQueryCounts::Counts> services;
};

HttpCounts CountHttp(http::Server* http) {
  HttpCounts counts;
  if (http == nullptr) return counts;
  http->ForEachThread([&counts](http::ThreadHandler& handler, int) {
    auto& api = static_cast<http::Api&>(handler);
    const http::WatcherCounters watchers = api.watchers().counters();
    counts.reads += watchers.asked;
    counts.waiting += watchers.waiting;
    for (const auto& [key, of_thread] : api.service_queries().counts()) {
      counts.services[key].asked += of_thread.asked;
      counts.services[key].not_found += of_thread.not_found;
    }
  });
  return counts;
}

void AddServiceQueries(const HttpCounts& http, Adder& adder) {
  for (const http::AskedIn asked_in : {http::AskedIn::kHealth, http::AskedIn::kCatalog}) {
    const bool health = asked_in == http::AskedIn::kHealth;
    const std::string group = health ? "health.service." : "catalog.service.";
    const std::string path = health ? "/v1/health/service" : "/v1/catalog/service";
    const std::string query = group + "query", query_help = "Reads of " + path + ", by service.";
    const std::string tag = group + "query-tag",
                      tag_help = "Reads of " + path + " with tags, by service and tags.";
    const std::string not_found = group + "not-found",
                      not_found_help = "Reads of " + path + " that found no instance, by service.";
    adder.CounterFamily(query, query_help);
    adder.CounterFamily(tag, tag_help);
    adder.CounterFamily(not_found, not_found_help);
    for (const auto& [key, counts] : http.services) {
      if (key.asked_in != asked_in) continue;
      const Labels service = {{"service", key.service}};
      adder.Counter(query, query_help, static_cast<double>(counts.asked), service);
      if (!key.tags.empty()) {
        adder.Counter(tag, tag_help, static_cast<double>(counts.asked),
                      {{"service", key.service}, {"tag", key.tags}});
      }
      if (counts.not_found > 0) {
        adder.Counter(not_found, not_found_help, static_cast<double>(counts.not_found), service);
      }
    }
  }
}

// Of both pools together, as Serf counts for the process.
void AddGossip(const std::vector<PoolFigures>& pools, Adder& adder) {
  if (pools.empty()) return;
  uint64_t joins = 0, failures = 0, leaves = 0, flaps = 0, events = 0, queries = 0;
  uint64_t udp_in = 0, udp_out = 0, tcp_in = 0, tcp_out = 0, suspected = 0, degraded = 0;
  for (const PoolFigures& pool : pools) {
    joins += pool.serf.joins;
    failures += pool.serf.failures;
    leaves += pool.serf.leaves;
    flaps += pool.serf.flaps;
    events += pool.serf.events_received;
    queries += pool.serf.queries_received;
    udp_in += pool.network.octets_in;
    udp_out += pool.network.octets_out;
    tcp_in += pool.network.stream_octets_in;
    tcp_out += pool.network.stream_octets_out;
    suspected += pool.swim.suspected_by_others;
    degraded += pool.swim.tcp_only;
    const Labels network = {{"network", pool.pool}};
    adder.Gauge("memberlist.health.score", "How slow this node finds itself; 0 is healthy.",
                pool.health_score, network);
    adder.Gauge("serf.queue.Intent", "Intents that are being gossiped.",
                static_cast<double>(pool.intents_queued), network);
    adder.Gauge("serf.queue.Event", "User events that are being gossiped.",
                static_cast<double>(pool.events_queued), network);
    adder.Gauge("serf.queue.Query", "Queries that are being gossiped.",
                static_cast<double>(pool.queries_queued), network);
  }
  const struct {
    const char *name, *help;
    uint64_t value;
  } kCounters[] = {{"serf.member.join", "Members that joined.", joins},
                   {"serf.member.failed", "Members that failed.", failures},
                   {"serf.member.left", "Members that left.", leaves},
                   {"serf.member.flap", "Members that were back soon after they failed.", flaps},
                   {"serf.events", "User events received.", events},
                   {"serf.queries", "Queries received.", queries},
                   {"memberlist.udp.received", "Octets received in datagrams.", udp_in},
                   {"memberlist.udp.sent", "Octets sent in datagrams.", udp_out},
                   {"memberlist.tcp.received", "Octets received on connections.", tcp_in},
                   {"memberlist.tcp.sent", "Octets sent on connections.", tcp_out},
                   {"memberlist.msg.suspect", "Accusations received.", suspected},
                   {"memberlist.degraded.probe", "Probes that only TCP answered.", degraded}};
  for (const auto& counter : kCounters) {
    adder.Counter(counter.name, counter.help, static_cast<double>(counter.value));
  }
}

void AddServer(const TelemetryOptions& options, const cluster::ConsensusCounters& consensus,
               const CatalogCounts& catalog, Adder& adder) {
  adder.Summary("catalog.register", "Registrations, until they are visible, in milliseconds.",
                consensus.registration);
  adder.Summary("catalog.deregister", "Deregistrations, until they are visible, in milliseconds.",
                consensus.deregistration);
  adder.Summary("raft.commitTime",
                "Changes of the catalog, until they are visible, in milliseconds.",
                consensus.commit);
  adder.Counter("raft.apply", "Changes of the catalog proposed here.",
                static_cast<double>(consensus.proposals));
  adder.Gauge("autopilot.healthy", "1: all servers are healthy.", consensus.healthy ? 1 : 0);
  adder.Gauge("autopilot.failure_tolerance", "Servers that may fail.",
              static_cast<double>(consensus.failure_tolerance));
  const Labels datacenter = {{"datacenter", options.datacenter}};
  adder.Gauge("state.nodes", "Nodes in the catalog.", static_cast<double>(catalog.nodes),
              datacenter);
  adder.Gauge("state.services", "Services in the catalog, by name.",
              static_cast<double>(catalog.services), datacenter);
  adder.Gauge("state.service_instances", "Service instances in the catalog.",
              static_cast<double>(catalog.instances), datacenter);
}

}  // namespace

bool IsShown(const TelemetryOptions& options, std::string_view dotted_name) {
  size_t longest = 0;
  bool shown = options.filter_default;
  for (const std::string_view rule : options.prefix_filter) {
    if (rule.size() <= longest || !dotted_name.starts_with(rule.substr(1))) continue;
    longest = rule.size();
    shown = rule.front() == '+';
  }
  return shown;
}

void CollectConsulNames(const TelemetryOptions& options, dns::Server* dns, http::Server* http,
                        const cluster::ConsensusCounters& consensus, const CatalogCounts& catalog,
                        const std::vector<PoolFigures>& pools, Families& families) {
  Adder adder(options, families);
  const uint64_t questions = AddDns(dns, options.node_name, adder);
  const HttpCounts counts = CountHttp(http);
  AddServiceQueries(counts, adder);
  adder.Counter("rpc.query", "Reads of the catalog, by HTTP and DNS.",
                static_cast<double>(counts.reads + questions));
  adder.Gauge("rpc.queries_blocking", "Reads that wait for a change.",
              static_cast<double>(counts.waiting));
  AddGossip(pools, adder);
  if (options.server) AddServer(options, consensus, catalog, adder);
}

}  // namespace pharos::agent
