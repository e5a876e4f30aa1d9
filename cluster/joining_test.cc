#include "cluster/joining.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <set>

namespace pharos::cluster {
namespace {

peer::v1::Server ServerOf(uint64_t id, int expect) {
  peer::v1::Server server;
  server.set_raft_id(id);
  server.set_address("10.0.0." + std::to_string(id) + ":8300");
  server.set_bootstrap_expect(expect);
  return server;
}

// Servers that ask each other in turn, one second after the other.
class World {
 public:
  void Add(uint64_t id, int expect, const std::vector<uint64_t>& join) {
    std::vector<std::string> addresses;
    addresses.reserve(join.size());
    for (const uint64_t other : join) addresses.push_back(ServerOf(other, 0).address());
    servers_[id] = {std::make_unique<Joining>(ServerOf(id, expect), addresses, false), {}};
    servers_[id].own.known.push_back(ServerOf(id, expect));
  }
  void Cut(uint64_t id) { cut_.insert(id); }
  // A cluster that `id` is part of already.
  void Found(uint64_t id) {
    servers_[id].own.started = servers_[id].own.has_state = servers_[id].own.is_member = true;
    servers_[id].own.cluster_id = "c";
  }

  // Who began a cluster, and who started to be taken in, within so many seconds.
  void Run(int seconds) {
    for (int i = 0; i < seconds * 4; ++i) {
      now_ms_ += 250;
      for (auto& [id, server] : servers_) Turn(id, server);
    }
  }
  std::vector<uint64_t> began, started;

 private:
  struct Server {
    std::unique_ptr<Joining> joining;
    Joining::Own own;
  };

  void Turn(uint64_t id, Server& server) {
    if (cut_.contains(id)) return;
    for (const Joining::Ask& ask : server.joining->Due(now_ms_, server.own)) {
      for (auto& [other, target] : servers_) {
        if (cut_.contains(other) || ServerOf(other, 0).address() != ask.address) continue;
        peer::v1::IntroduceRequest request;
        *request.mutable_from() = server.own.known[0];
        request.set_cluster_id(server.own.cluster_id);
        request.set_claim(ask.claim);
        server.joining->OnAnswer(now_ms_, ask.address,
                                 target.joining->Answer(now_ms_, target.own, request));
      }
    }
    const Joining::Verdict verdict = server.joining->Decide(now_ms_, server.own);
    if (verdict == Joining::Verdict::kWait) return;
    server.own.started = true;
    if (verdict == Joining::Verdict::kStart) return started.push_back(id);
    began.push_back(id);
    server.own.has_state = server.own.is_member = true;
    server.own.cluster_id = "c";
  }

  uint64_t now_ms_ = 1'000'000;
  std::map<uint64_t, Server> servers_;
  std::set<uint64_t> cut_;
};

TEST(Joining, ThreeThatExpectThreeBeginOneCluster) {
  World world;
  world.Add(5, 3, {1, 5, 9});
  world.Add(1, 3, {1, 5, 9});
  world.Add(9, 3, {1, 5, 9});
  world.Run(10);
  EXPECT_EQ(world.began, std::vector<uint64_t>{1});
  EXPECT_EQ(world.started, (std::vector<uint64_t>{5, 9}));
}

TEST(Joining, TwoOfThreeBeginNothing) {
  World world;
  world.Add(1, 3, {1, 2, 3});
  world.Add(2, 3, {1, 2, 3});
  world.Add(3, 3, {1, 2, 3});
  world.Cut(3);
  world.Run(60);
  EXPECT_TRUE(world.began.empty());
}

TEST(Joining, WhoExpectsAnotherNumberDoesNotCount) {
  World world;
  world.Add(1, 3, {1, 2, 3});
  world.Add(2, 3, {1, 2, 3});
  world.Add(3, 5, {1, 2, 3});
  world.Run(20);
  EXPECT_TRUE(world.began.empty());
}

// Two groups of three that overlap: 1 knows 3 and 4, and 2 knows 3 and 4, but 1 and 2 do not know
// each other.
TEST(Joining, OverlappingGroupsBeginOneCluster) {
  World world;
  world.Add(1, 3, {3, 4});
  world.Add(2, 3, {3, 4});
  world.Add(3, 3, {});
  world.Add(4, 3, {});
  world.Run(20);
  EXPECT_EQ(world.began.size(), 1u);
}

TEST(Joining, WithAClusterThereNoneIsBegun) {
  World world;
  world.Add(1, 3, {7});
  world.Add(2, 3, {7});
  world.Add(3, 3, {7});
  world.Add(7, 3, {});
  world.Found(7);
  world.Run(10);
  EXPECT_TRUE(world.began.empty());
  EXPECT_EQ(world.started, (std::vector<uint64_t>{1, 2, 3}));
}

}  // namespace
}  // namespace pharos::cluster
