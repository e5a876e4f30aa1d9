// Follows the instances of a service: what is known is always at hand, and kept while no agent
// answers.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "pharos/agents.h"
#include "pharos/instance.h"

namespace pharos {

struct WatcherOptions {
  std::vector<std::string> tags;  // All of these.
  std::string filter;             // As the HTTP API takes it.
  bool only_passing = false;      // Else warning ones, too.
  std::chrono::milliseconds backoff_min{20};
  std::chrono::milliseconds backoff_max{2000};
};

// Any thread may call.
class Watcher {
 public:
  // Called on the watcher's thread with all instances whenever any of them has changed, the first
  // time once they are known.
  using Listener = std::function<void(const std::vector<Instance>&)>;

  Watcher(const Agents& agents, std::string service, WatcherOptions options = {},
          Listener listener = nullptr);
  // Once it returns, the listener is not called any more. Not from the listener.
  ~Watcher();
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

  // Waits until the instances are known; false after `timeout`.
  bool Wait(std::chrono::milliseconds timeout) const;
  // Those known now, by node and id.
  std::vector<Instance> instances() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pharos
