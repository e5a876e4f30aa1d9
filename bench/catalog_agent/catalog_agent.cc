// An agent with a catalog as large as one likes, made up by rule: service `svc-I` has instances 0
// to N-1, of which J has the address (10+J).(I as three octets) and port 8000+J. Ten services of
// the same number of instances are on a node, each instance on another one.
//
//   catalog_agent CONFIG_FILE SERVICES INSTANCES
//
// Prints `ready` once it answers, and runs until its standard input ends.
#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "agent/agent.h"
#include "agent/config/load.h"
#include "base/status_macros.h"

namespace pharos::agent {
namespace {

constexpr int64_t kServicesPerNode = 10;
constexpr int64_t kCommandsPerBatch = 100;

// The services [first, first + kServicesPerNode) with their `instance`th instances.
catalog::v1::Command MakeNode(int64_t first, int64_t services, int instance) {
  catalog::v1::Command command;
  catalog::v1::Register& change = *command.mutable_register_();
  const int64_t number = first / kServicesPerNode;
  change.mutable_node()->set_name(absl::StrFormat("node-%d-%d", number, instance));
  change.mutable_node()->set_address(absl::StrFormat("%d.%d.%d.%d", 100 + instance, number >> 16,
                                                     (number >> 8) & 255, number & 255));
  for (int64_t i = first; i < std::min(first + kServicesPerNode, services); ++i) {
    catalog::v1::Service& service = *change.add_services();
    service.set_name(absl::StrFormat("svc-%d", i));
    service.set_port(static_cast<uint32_t>(8000 + instance));
    service.set_address(
        absl::StrFormat("%d.%d.%d.%d", 10 + instance, i >> 16, (i >> 8) & 255, i & 255));
  }
  return command;
}

absl::Status Fill(Agent& agent, int64_t services, int instances) {
  catalog::v1::Command batch;
  const auto propose = [&]() -> absl::Status {
    return agent.consensus().ProposeAndWait(std::exchange(batch, {})).status();
  };
  for (int64_t first = 0; first < services; first += kServicesPerNode) {
    for (int instance = 0; instance < instances; ++instance) {
      *batch.mutable_batch()->add_commands() = MakeNode(first, services, instance);
    }
    if (batch.batch().commands_size() >= kCommandsPerBatch) RETURN_IF_ERROR(propose());
  }
  return batch.batch().commands_size() == 0 ? absl::OkStatus() : propose();
}

absl::Status Run(const std::string& config_file, int64_t services, int instances) {
  ConfigRequest request;
  request.dev_mode = true;
  request.paths.push_back(config_file);
  ASSIGN_OR_RETURN(LoadedConfig loaded, LoadConfig(request, ReadMachine()));
  ASSIGN_OR_RETURN(const std::unique_ptr<Agent> agent, Agent::Start(std::move(loaded)));
  RETURN_IF_ERROR(Fill(*agent, services, instances));
  std::cout << "ready\n" << std::flush;
  std::string ignored;
  while (std::getline(std::cin, ignored)) {
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace pharos::agent

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: catalog_agent CONFIG_FILE SERVICES INSTANCES\n";
    return 2;
  }
  const absl::Status status = pharos::agent::Run(argv[1], std::atoll(argv[2]), std::atoi(argv[3]));
  if (!status.ok()) std::cerr << status << "\n";
  return status.ok() ? 0 : 1;
}
