#include "cluster/departures.h"

#include <utility>

#include "base/log.h"

namespace pharos::cluster {
namespace {

// Who has just come back is heard of by Raft before the pool says so.
constexpr absl::Duration kSilence = absl::Seconds(2);

void RemoveFirst(Consensus& consensus, const std::set<std::string>& node_ids,
                 const ConsensusStatus& status) {
  if (!status.is_leader) return;
  for (const AutopilotServer& server : status.autopilot.servers) {
    const bool departed = node_ids.contains(server.server.node_id());
    if (!departed || server.leader || server.last_contact < kSilence) continue;
    PHAROS_LOG(kInfo, "agent.server", "removing server that left: server=%s", server.server.name());
    peer::v1::MembershipRequest request;
    request.set_remove(server.id);
    consensus.ChangeMembership(std::move(request), [](const absl::Status& removed) {
      if (removed.ok()) return;
      PHAROS_LOG(kWarn, "agent.server", "a change of the servers failed: %s",
                 std::string(removed.message()));
    });
    return;
  }
}

}  // namespace

void RemoveDeparted(Consensus& consensus, std::set<std::string> node_ids) {
  if (node_ids.empty() || !consensus.is_leader()) return;
  consensus.WithStatus(Consensus::View::kOwn,
                       [&consensus, node_ids = std::move(node_ids)](const ConsensusStatus& status) {
                         RemoveFirst(consensus, node_ids, status);
                       });
}

}  // namespace pharos::cluster
