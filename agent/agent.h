// The agent: its parts, put together as code. Start reading here for how they meet.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/config/config.h"
#include "agent/config/load.h"
#include "base/clock.h"
#include "base/ip_address.h"
#include "cluster/consensus.h"
#include "dns/server.h"
#include "proto/catalog.pb.h"

namespace pharos::agent {

// All calls on the main thread.
class Agent {
 public:
  // Registers this node and its services, then answers DNS: whoever gets an answer gets the whole
  // one. An error leaves nothing running.
  static absl::StatusOr<std::unique_ptr<Agent>> Start(LoadedConfig loaded);
  // Stops answering, then everything else, in the opposite order of the start.
  ~Agent();

  // Takes on what a reload may change; what needs a restart is said in the log. An error (in words
  // for the operator) leaves everything as it was.
  absl::Status Reload(LoadedConfig loaded);

  // Says in the log what was started.
  void LogStarted() const;
  // One line of the log for each thing that is counted.
  void LogMetrics();

  // Where further changes of the catalog are proposed.
  cluster::Consensus& consensus() { return *consensus_; }
  const std::string& node_id() const { return node_id_; }
  // Where DNS is answered.
  std::vector<SocketAddress> dns_addresses() const;

 private:
  Agent() = default;
  absl::Status StartParts();
  absl::Status StartDns();
  absl::Status RegisterThisNode(const Config& config);
  void LogRegistered() const;

  LoadedConfig loaded_;
  std::string node_id_;
  RealClock clock_;
  std::unique_ptr<cluster::Consensus> consensus_;
  catalog::v1::Register registered_;
  std::vector<std::string> checks_not_run_;
  std::unique_ptr<dns::Server> dns_;
};

}  // namespace pharos::agent
