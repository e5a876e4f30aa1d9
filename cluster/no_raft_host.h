// Surroundings of an engine that asks nothing of them, or of which little is wanted.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cluster/raft_engine.h"

namespace pharos::cluster {

// Sends nothing, keeps nothing, runs nothing elsewhere.
class NoRaftHost : public RaftEngineHost {
 public:
  void Send(uint64_t, peer::v1::Raft) override {}
  void SendSnapshot(uint64_t, peer::v1::InstallSnapshot,
                    std::shared_ptr<const RaftBuffer>) override {}
  void Apply(uint64_t, Octets) override {}
  std::function<std::vector<std::string>()> TakeImage() override { return {}; }
  absl::Status Restore(Octets) override { return absl::OkStatus(); }
  void RunElsewhere(std::function<void()>, std::function<void()>) override {}
  [[noreturn]] void OnFatal(const std::string&) override { std::abort(); }
};

}  // namespace pharos::cluster
