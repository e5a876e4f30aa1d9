// A cluster of servers on one thread, with a network, disks and clocks that fail as a seed says.
// The same seed gives the same run.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "cluster/memory_disk.h"
#include "cluster/raft_node.h"
#include "tests/sim/linearizable.h"

namespace pharos::sim {

struct ClusterOptions {
  uint64_t seed = 1;
  int servers = 3;
  uint64_t fault_ms = 20'000;  // Faults for so long, then peace.
  uint64_t peace_ms = 15'000;
  int keys = 3;
};

struct ClusterReport {
  std::string failure;  // Empty: all held.
  uint64_t acknowledged = 0, unknown = 0, refused = 0, reads = 0;
  uint64_t crashes = 0, cuts = 0, leaders = 0, snapshots_installed = 0, entries = 0;
};

class Cluster {
 public:
  explicit Cluster(const ClusterOptions& options);
  ~Cluster();

  // Runs to the end, checking after every step: at most one leader a term; logs match; every server
  // applies the same entry at an index. And at the end: all servers have the same catalog, and each
  // register's history is linearizable, so that nothing acknowledged was lost.
  ClusterReport Run();

 private:
  class Server;
  friend class Server;

  void At(uint64_t delay_us, std::function<void()> what);
  void Step();
  void Fail(const std::string& why);
  void CheckInvariants();
  void CheckLog(int server, const cluster::MemoryDiskContent& content);

  void Deliver(int from, int to, const peer::v1::Message& message);
  bool IsCut(int from, int to) const { return cuts_.contains({from, to}); }
  uint64_t Delay();

  void Crash(int server);
  void StartServer(int server);
  void TickServer(int server, uint64_t incarnation);
  void Introduce(int server);

  void ScheduleFault();
  void DoFault();
  void Heal();

  void RunClient(int client);
  void Write(int client, int key);
  void Read(int client, int key);
  int RandomAlive();
  void FinalCheck();
  std::string Digest(int server) const;

  const ClusterOptions options_;
  Random random_;
  uint64_t now_us_ = 0;
  uint64_t sequence_ = 0;
  bool peace_ = false;
  std::map<std::pair<uint64_t, uint64_t>, std::function<void()>> events_;  // By time and order.
  std::vector<std::unique_ptr<Server>> servers_;
  std::set<std::pair<int, int>> cuts_;  // What is sent from one to the other is lost.
  double drop_ = 0, duplicate_ = 0;
  std::map<uint64_t, uint64_t> leader_of_term_;
  std::map<uint64_t, size_t> entry_at_;  // Its hash, by index.
  struct LogEntry {
    size_t hash;
    uint64_t after_term;  // Of the entry before it; 0: not known.
  };
  std::map<std::pair<uint64_t, uint64_t>, LogEntry> log_at_;  // By index and term.
  std::vector<std::vector<Operation>> histories_;             // Of each key.
  int64_t next_value_ = 1;
  ClusterReport report_;
};

}  // namespace pharos::sim
