// How an agent comes to servers of other datacenters.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace pharos::cluster {

// Where datacenters are reached: servers of theirs, or of ours that ask on. Any thread.
class PathFinder {
 public:
  virtual ~PathFinder() = default;
  // All that are known, the nearest first, this agent's own among them.
  virtual std::vector<std::string> Datacenters() const = 0;
  // Whether there may be none that was not heard of yet.
  virtual bool IsComplete() const { return true; }
  // The server (IP:PORT) to ask about a datacenter; nullopt: there is none that answers.
  virtual std::optional<std::string> PathTo(const std::string& datacenter) = 0;
  virtual void OnFailed(const std::string& datacenter, const std::string& address) = 0;
  virtual void OnGood(const std::string& datacenter, const std::string& address) = 0;
};

}  // namespace pharos::cluster
