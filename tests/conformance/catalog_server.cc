// An agent with a catalog of its choice, for tests: registers what a file of commands says (Batch
// of proto/catalog.proto in text format) and answers DNS until its standard input ends.
//
//   catalog_server CONFIG_FILE COMMANDS_FILE
//
// Prints `ready ADDRESS` once it answers.
#include <google/protobuf/text_format.h>

#include <iostream>
#include <string>

#include "agent/agent.h"
#include "agent/config/load.h"
#include "base/file.h"
#include "base/status_macros.h"

namespace pharos::agent {
namespace {

constexpr size_t kFileOctetsMax = 64 << 20;

absl::Status Run(const std::string& config_file, const std::string& commands_file) {
  ConfigRequest request;
  request.dev_mode = true;
  request.paths.push_back(config_file);
  ASSIGN_OR_RETURN(LoadedConfig loaded, LoadConfig(request, ReadMachine()));
  ASSIGN_OR_RETURN(const std::unique_ptr<Agent> agent, Agent::Start(std::move(loaded)));
  ASSIGN_OR_RETURN(const std::string text, ReadFile(commands_file, kFileOctetsMax));
  catalog::v1::Batch batch;
  if (!google::protobuf::TextFormat::ParseFromString(text, &batch)) {
    return absl::InvalidArgumentError(commands_file + " is not a Batch in text format");
  }
  for (const catalog::v1::Command& command : batch.commands()) {
    if (const auto index = agent->consensus().ProposeAndWait(command); !index.ok()) {
      std::cerr << "refused: " << index.status() << "\n";
    }
  }
  std::cout << "ready " << agent->dns_addresses().front().ToString() << "\n" << std::flush;
  std::string ignored;
  while (std::getline(std::cin, ignored)) {
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace pharos::agent

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: catalog_server CONFIG_FILE COMMANDS_FILE\n";
    return 2;
  }
  const absl::Status status = pharos::agent::Run(argv[1], argv[2]);
  if (!status.ok()) std::cerr << status << "\n";
  return status.ok() ? 0 : 1;
}
