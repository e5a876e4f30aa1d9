// What every client of ours does to have a connection: takes the agents in turn, with pauses that
// grow.
#pragma once

#include <grpcpp/channel.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <random>
#include <vector>

#include "pharos/agents.h"

namespace pharos::client {

// One thread.
class Connection {
 public:
  Connection(const Agents& agents, std::chrono::milliseconds backoff_min,
             std::chrono::milliseconds backoff_max);

  // To the agent that is to be tried now; never null.
  std::shared_ptr<grpc::Channel> channel() const { return channels_[at_]; }
  // It works: the next pause is the shortest again.
  void Succeeded() { backoff_ = backoff_min_; }
  // It does not: the next agent is to be tried after this pause.
  std::chrono::milliseconds Failed();

 private:
  const std::chrono::milliseconds backoff_min_, backoff_max_;
  std::chrono::milliseconds backoff_;
  std::vector<std::shared_ptr<grpc::Channel>> channels_;
  size_t at_ = 0;
  std::minstd_rand random_;
};

}  // namespace pharos::client
