// Registration by gRPC, as work for the thread `checks`.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "agent/local/local_agent.h"
#include "rpc/registrar.h"

namespace pharos::agent {

class GrpcRegistrar final : public rpc::Registrar {
 public:
  // Answers that are kept for requests that are sent again.
  static constexpr size_t kRequestIdsMax = 4096;

  // `local` outlives this.
  explicit GrpcRegistrar(LocalAgent& local) : local_(local) {}

  void Register(discovery::v1::RegisterRequest request, Done done) override;
  void Deregister(discovery::v1::DeregisterRequest request, Done done) override;
  void UpdateHealth(discovery::v1::UpdateHealthRequest request, Done done) override;
  void Open(discovery::v1::HoldOpen request, Taken taken, OpenDone done) override;
  void Change(Session session, discovery::v1::HoldRequest request, Done done) override;
  void Release(Session session, Done done) override;
  void Lost(Session session) override;

 private:
  // A request by its method and request id, and who else waits for its answer.
  struct Answer {
    bool done = false;
    uint64_t index = 0;
    std::vector<Done> waiting;
  };

  // On the thread `checks`, as is everything below: runs `work` unless a request of the same key
  // was, and gives `done` what came of it.
  void Once(const std::string& key, const std::function<void(Done)>& work, Done done);
  void DoRegister(const discovery::v1::RegisterRequest& request, Done done);
  void DoDeregister(const std::string& id, Done done);
  void DoUpdateHealth(const discovery::v1::UpdateHealthRequest& request, Done done);
  // For what is answered once the catalog has it.
  LocalAgent::Done WhenVisible(Done done);

  LocalAgent& local_;
  absl::flat_hash_map<std::string, Answer> answers_;
  std::deque<std::string> answered_;  // Keys, oldest first.
};

}  // namespace pharos::agent
