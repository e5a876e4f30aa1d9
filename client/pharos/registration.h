// Registers instances at an agent for as long as this object lives: DNS names them once it holds
// them, and does not once it, or the process, is gone.
#pragma once

#include <grpcpp/support/status.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "pharos/agents.h"
#include "pharos/instance.h"

namespace pharos {

struct RegistrationOptions {
  // How long DNS goes on naming the instances after the connection broke: 0 where agent and program
  // are on one machine, where a broken connection means a dead program.
  std::chrono::milliseconds grace{0};
  // How long an agent that was restarted waits for this program to come back; 0: the agent's
  // choice.
  std::chrono::milliseconds ttl{0};
  // How long the destructor waits for the agent to have withdrawn the instances.
  std::chrono::milliseconds release_timeout{1000};
  // The shortest and the longest pause before the next try, which is up to half shorter at random.
  std::chrono::milliseconds backoff_min{20};
  std::chrono::milliseconds backoff_max{2000};
};

// Any thread may call. One thread of its own keeps the stream; what is asked for is done in its
// time, in order, and again after a reconnect, so that the agent comes to know the newest state.
class Registration {
 public:
  Registration(const Agents& agents, const std::vector<InstanceSpec>& instances,
               RegistrationOptions options = {});
  // Withdraws the instances.
  ~Registration();
  Registration(const Registration&) = delete;
  Registration& operator=(const Registration&) = delete;

  // Waits until all that was asked for so far is done: DNS answers accordingly. Else what stands in
  // the way: DEADLINE_EXCEEDED (in words, the last error, if there was one) after `timeout`, or the
  // agent's own status where trying again is no use (INVALID_ARGUMENT, ABORTED).
  grpc::Status Wait(std::chrono::milliseconds timeout);

  // Adds an instance, or changes the one of its id.
  void Set(const InstanceSpec& instance);
  void Remove(const std::string& id);
  // Of an instance that was set; others are ignored.
  void SetHealth(const std::string& id, Health health, const std::string& output = "");

  // Whether an agent holds the instances now, and its catalog's index when it last said so.
  bool held() const;
  uint64_t index() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pharos
