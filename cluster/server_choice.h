// Which of the servers an agent follows. Each agent prefers them in an order of its own (rendezvous
// hashing, Thaler and Ravishankar 1998), so that agents spread evenly over however many there are
// and a server that ends burdens all others alike. Pure: times come in.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace pharos::cluster {

class ServerChoice {
 public:
  static constexpr uint64_t kRetryFirstMs = 100;
  static constexpr uint64_t kRetryMaxMs = 5'000;
  // A server has to be alive for so long before agents leave another for it.
  static constexpr uint64_t kSettledMs = 60'000;
  // Further servers are not heard of.
  static constexpr size_t kServersMax = 256;

  // `name` makes the order. `join` (HOST:PORT) are tried while no server is known to
  // be alive, from `join_from_ms` on.
  ServerChoice(std::string name, std::vector<std::string> join, uint64_t join_from_ms)
      : name_(std::move(name)), join_(std::move(join)), join_from_ms_(join_from_ms) {}

  // What gossip says of the server at the address (IP:PORT).
  void SetAlive(const std::string& address, bool alive, uint64_t now_ms);
  // It has left for good.
  void Forget(const std::string& address);
  // Those that a server knows of. Who was not heard of by gossip and is not among them is
  // forgotten.
  void SetKnown(const std::vector<std::string>& addresses, uint64_t now_ms);
  // It did not answer, or ended; it is left alone for a while, longer each time.
  void OnFailed(const std::string& address, uint64_t now_ms);
  void OnGood(const std::string& address);

  // The one to follow now; none: all are left alone, or there are none. Those that gossip holds for
  // dead come last.
  std::optional<std::string> Pick(uint64_t now_ms) const;
  // Another that the agent is to go over to from `present`, as it is to be preferred and settled.
  std::optional<std::string> Better(const std::string& present, uint64_t now_ms) const;
  size_t size() const { return servers_.size(); }

 private:
  struct Server {
    bool gossiped = false, alive = true;
    uint64_t since_ms = 0;  // That it is alive.
  };
  struct Failure {
    uint64_t count = 0, until_ms = 0;
  };
  uint64_t RankOf(const std::string& address) const;
  bool IsLeftAlone(const std::string& address, uint64_t now_ms) const;

  const std::string name_;
  const std::vector<std::string> join_;
  const uint64_t join_from_ms_;
  std::map<std::string, Server> servers_;    // By address.
  std::map<std::string, Failure> failures_;  // Of those, and of join_.
};

}  // namespace pharos::cluster
