#include "agent/metrics/gossip_metrics.h"

namespace pharos::agent {
namespace {

using gossip::MemberStatus;

constexpr std::pair<MemberStatus, const char*> kStatuses[] = {{MemberStatus::kAlive, "alive"},
                                                              {MemberStatus::kLeaving, "leaving"},
                                                              {MemberStatus::kLeft, "left"},
                                                              {MemberStatus::kFailed, "failed"}};

void CollectMembers(const PoolFigures& pool, Families& families) {
  const Labels labels = {{"pool", pool.pool}};
  for (const auto& [status, name] : kStatuses) {
    const auto found = pool.members.find(status);
    families.Gauge("pharos_gossip_members", "Members of the pool, by status.",
                   found == pool.members.end() ? 0 : static_cast<double>(found->second),
                   {{"pool", pool.pool}, {"status", name}});
  }
  families.Gauge("pharos_gossip_health_score",
                 "How slow this node finds itself, 0 to 7: it doubts others more slowly then.",
                 pool.health_score, labels);
  families.Counter("pharos_gossip_flaps_total",
                   "Members that were back within a minute of their failure.", pool.serf.flaps,
                   labels);
  families.Counter("pharos_gossip_conflicts_total", "Claims of a name that another node has.",
                   pool.swim.conflicts, labels);
  families.Counter("pharos_gossip_members_refused_total",
                   "Nodes refused because too many were known.",
                   pool.serf.members_refused + pool.swim.nodes_refused, labels);
}

void CollectFailureDetection(const PoolFigures& pool, Families& families) {
  const Labels labels = {{"pool", pool.pool}};
  const gossip::SwimCounters& swim = pool.swim;
  families.Counter("pharos_gossip_probes_total", "Probes of members begun.", swim.probes, labels);
  families.Counter("pharos_gossip_probe_failures_total",
                   "Probes that nothing answered, not even by way of others or by TCP.",
                   swim.probes_failed, labels);
  families.Counter("pharos_gossip_udp_broken_total",
                   "Probes that only TCP answered: UDP is lost on the way.", swim.tcp_only, labels);
  families.Counter("pharos_gossip_refutations_total", "Accusations of this node that it refuted.",
                   swim.refuted, labels);
  families.Counter("pharos_gossip_suspicions_timed_out_total",
                   "Suspects that this node took for dead.", swim.dead_by_us, labels);
  families.Counter("pharos_gossip_stalls_total",
                   "Times that this process did not get to run; it accuses nobody for them.",
                   swim.stalls, labels);
  families.Counter("pharos_gossip_stalled_seconds_total", "The time of these stalls.",
                   absl::ToDoubleSeconds(swim.stalled), labels);
  families.Gauge("pharos_gossip_loop_lag_seconds", "How late the thread's last timer was.",
                 absl::ToDoubleSeconds(pool.network.lag), labels);
  const std::string accusations = "pharos_gossip_accusations_total";
  const std::string help =
      "Accusations of having failed that this node heard or made, by who accused whom.";
  // There is none in a healthy pool.
  families.Declare(accusations, "pharos.gossip.accusations", help, prometheus::MetricType::Counter);
  for (const auto& [who, count] : pool.accusations) {
    families.Counter(accusations, help, static_cast<double>(count),
                     {{"pool", pool.pool}, {"from", who.first}, {"about", who.second}});
  }
}

void CollectTraffic(const PoolFigures& pool, Families& families) {
  const Labels labels = {{"pool", pool.pool}};
  const Labels in = {{"pool", pool.pool}, {"direction", "in"}};
  const Labels out = {{"pool", pool.pool}, {"direction", "out"}};
  const gossip::PoolCounters& network = pool.network;
  families.Counter("pharos_gossip_packets_total", "Datagrams.", network.packets_in, in);
  families.Counter("pharos_gossip_packets_total", "Datagrams.", network.packets_out, out);
  families.Counter("pharos_gossip_packet_octets_total", "Octets in datagrams.", network.octets_in,
                   in);
  families.Counter("pharos_gossip_packet_octets_total", "Octets in datagrams.", network.octets_out,
                   out);
  families.Counter("pharos_gossip_streams_total", "TCP connections.", network.streams_in, in);
  families.Counter("pharos_gossip_streams_total", "TCP connections.", network.streams_out, out);
  families.Counter("pharos_gossip_stream_octets_total", "Octets on TCP connections.",
                   network.stream_octets_in, in);
  families.Counter("pharos_gossip_stream_octets_total", "Octets on TCP connections.",
                   network.stream_octets_out, out);
  families.Counter("pharos_gossip_refused_total",
                   "Packets and streams that were not encrypted as they should be, or malformed.",
                   network.packets_refused, labels);
  families.Counter("pharos_gossip_malformed_total", "Malformed messages.",
                   pool.swim.messages_malformed, labels);
  families.Counter("pharos_gossip_packets_unsent_total", "Datagrams that the kernel did not take.",
                   network.packets_unsent, labels);
  families.Counter("pharos_gossip_streams_refused_total",
                   "Connections closed because 128 were served.", network.streams_refused, labels);
  families.Counter("pharos_gossip_relays_refused_total",
                   "Pings for others not sent because 1,024 were under way.",
                   pool.swim.relays_refused, labels);
  const std::pair<const char*, size_t> kQueues[] = {{"membership", pool.broadcasts_queued},
                                                    {"intent", pool.intents_queued},
                                                    {"event", pool.events_queued},
                                                    {"query", pool.queries_queued}};
  for (const auto& [queue, size] : kQueues) {
    families.Gauge("pharos_gossip_queue", "Messages that are being gossiped.",
                   static_cast<double>(size), {{"pool", pool.pool}, {"queue", queue}});
  }
  families.Counter("pharos_gossip_queue_dropped_total", "Messages dropped from full queues.",
                   pool.broadcasts_dropped, labels);
}

}  // namespace

PoolFigures ReadFigures(const std::string& name, const gossip::Pool& pool) {
  const gossip::Serf& serf = pool.serf();
  PoolFigures figures{.pool = name,
                      .members = {},
                      .serf = serf.counters(),
                      .swim = serf.swim().counters(),
                      .network = pool.counters(),
                      .intents_queued = serf.intents_queued(),
                      .events_queued = serf.events_queued(),
                      .queries_queued = serf.queries_queued(),
                      .broadcasts_queued = serf.swim().broadcasts_waiting(),
                      .broadcasts_dropped = serf.broadcasts_dropped(),
                      .health_score = serf.swim().health_score(),
                      .coordinate_resets = serf.coordinate_resets(),
                      .accusations = serf.swim().accusations()};
  for (const auto& [member_name, member] : serf.members()) ++figures.members[member.status];
  return figures;
}

void CollectGossip(const std::vector<PoolFigures>& pools, Families& families) {
  for (const PoolFigures& pool : pools) {
    CollectMembers(pool, families);
    CollectFailureDetection(pool, families);
    CollectTraffic(pool, families);
  }
}

}  // namespace pharos::agent
