#include "cluster/gossip/swim_sim.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace pharos::gossip {
namespace {

// How long after its death each survivor knew of it.
std::vector<absl::Duration> DetectionTimes(const SwimSim& sim, size_t victim, absl::Time died) {
  std::vector<absl::Duration> times;
  for (const SimEvent& event : sim.events()) {
    if (event.kind == SimEvent::Kind::kLeave && event.about == SwimSim::NameOf(victim)) {
      times.push_back(event.time - died);
    }
  }
  std::sort(times.begin(), times.end());
  return times;
}

size_t Failures(const SwimSim& sim) {
  return static_cast<size_t>(std::ranges::count_if(
      sim.events(), [](const SimEvent& event) { return event.kind == SimEvent::Kind::kLeave; }));
}

uint64_t Accusations(SwimSim& sim, size_t nodes, const std::string& except = "") {
  uint64_t accused = 0;
  for (size_t i = 0; i < nodes; ++i) {
    for (const auto& [who, count] : sim.swim(i).accusations()) {
      if (who.second != except) accused += count;
    }
  }
  return accused;
}

TEST(SwimSim, PoolsOfManySizesConverge) {
  for (const size_t nodes : {2, 3, 10, 50, 150}) {
    SwimSim sim({.nodes = nodes, .seed = nodes});
    sim.JoinAll();
    EXPECT_TRUE(sim.RunUntil([&] { return sim.Converged(); }, absl::Seconds(30)))
        << nodes << " nodes, seed " << nodes;
    EXPECT_EQ(Failures(sim), 0u);
  }
}

TEST(SwimSim, RepeatsItselfFromItsSeed) {
  const auto run = [](uint64_t seed) {
    SwimSim sim({.nodes = 20, .seed = seed, .loss = 0.05});
    sim.JoinAll();
    sim.RunFor(absl::Seconds(20));
    sim.Kill(3);
    sim.RunFor(absl::Seconds(20));
    return std::make_pair(sim.packets(), sim.octets());
  };
  EXPECT_EQ(run(5), run(5));
  EXPECT_NE(run(5), run(6));
}

// Of three nodes the first knows after the wait for a turn to probe, which of two others is at most
// the third, a probe of 1 s, and a suspicion of 4 s that nobody could confirm.
TEST(SwimSim, AFailureIsFoundInTheTimeOfTheFormula) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SwimSim sim({.nodes = 3, .seed = seed});
    sim.Introduce();
    sim.RunFor(absl::Seconds(5));
    const absl::Time died = sim.now();
    sim.Kill(2);
    ASSERT_TRUE(sim.RunUntil([&] { return sim.Converged(); }, absl::Seconds(10))) << seed;
    const auto times = DetectionTimes(sim, 2, died);
    ASSERT_EQ(times.size(), 2u);
    EXPECT_GE(times.front(), absl::Seconds(4)) << seed;
    EXPECT_LE(times.front(), absl::Milliseconds(8100)) << seed;
    EXPECT_LE(times.back() - times.front(), absl::Seconds(1)) << seed;
  }
}

// Expected time to the first probe of the dead: e/(e-1) intervals (SWIM section 3.2). Then a probe,
// and a suspicion that two others confirm within a few intervals.
TEST(SwimSim, AFailureInALargerPoolIsFoundAsSoon) {
  absl::Duration sum, all;
  constexpr int kRuns = 8;
  for (uint64_t seed = 1; seed <= kRuns; ++seed) {
    SwimSim sim({.nodes = 60, .seed = seed});
    sim.Introduce();
    sim.RunFor(absl::Seconds(5));
    const absl::Time died = sim.now();
    sim.Kill(2);
    ASSERT_TRUE(sim.RunUntil([&] { return sim.Converged(); }, absl::Seconds(40))) << seed;
    const auto times = DetectionTimes(sim, 2, died);
    ASSERT_EQ(times.size(), 59u);
    sum += times.front();
    all += times.back();
  }
  const double min_s = 4 * std::log10(60);  // Of the suspicion.
  EXPECT_GE(absl::ToDoubleSeconds(sum / kRuns), min_s);
  EXPECT_LE(absl::ToDoubleSeconds(sum / kRuns), min_s + 5);
  EXPECT_LE(absl::ToDoubleSeconds((all - sum) / kRuns), 1.5);
}

TEST(SwimSim, LossMakesNobodyDead) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    SwimSim sim({.nodes = 40, .seed = seed, .loss = 0.1});
    sim.JoinAll();
    sim.RunFor(absl::Minutes(3));
    EXPECT_EQ(Failures(sim), 0u) << seed;
    EXPECT_TRUE(sim.RunUntil([&] { return sim.Converged(); }, absl::Seconds(10))) << seed;
  }
}

TEST(SwimSim, APartitionHeals) {
  SwimSim sim({.nodes = 10, .seed = 3});
  sim.Introduce();
  sim.RunFor(absl::Seconds(5));
  sim.passes = [](size_t from, size_t to) { return (from < 4) == (to < 4); };
  const auto apart = [&] {
    return sim.swim(0).alive_count() == 4 && sim.swim(9).alive_count() == 6;
  };
  EXPECT_TRUE(sim.RunUntil(apart, absl::Minutes(1)));
  // While the dead are gossiped to, the halves find each other by themselves.
  sim.passes = [](size_t, size_t) { return true; };
  EXPECT_TRUE(sim.RunUntil([&] { return sim.Converged(); }, absl::Seconds(30)));
}

TEST(SwimSim, ALinkThatLosesOneDirectionAccusesNobody) {
  SwimSim sim({.nodes = 10, .seed = 4});
  sim.Introduce();
  sim.packets_pass = [](size_t from, size_t to) { return !(from == 0 && to == 1); };
  sim.RunFor(absl::Minutes(2));
  EXPECT_EQ(Failures(sim), 0u);
  EXPECT_EQ(Accusations(sim, 10), 0u);
}

TEST(SwimSim, WithoutUdpTcpKeepsTheNodesAliveAndItIsSaid) {
  SwimSim sim({.nodes = 2, .seed = 4});
  sim.Introduce();
  sim.packets_pass = [](size_t, size_t) { return false; };
  sim.RunFor(absl::Minutes(1));
  EXPECT_EQ(Failures(sim), 0u);
  EXPECT_GT(sim.swim(0).counters().tcp_only, 10u);
}

// A process that gets to run a tenth of each second. Others may doubt it, but it doubts nobody.
TEST(SwimSim, AStalledNodeAccusesNobody) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    SwimSim sim({.nodes = 10, .seed = seed});
    sim.Introduce();
    sim.RunFor(absl::Seconds(2));
    for (int second = 0; second < 120; ++second) {
      sim.SetStalled(4, true);
      sim.RunFor(absl::Milliseconds(900));
      sim.SetStalled(4, false);
      sim.RunFor(absl::Milliseconds(100));
    }
    EXPECT_EQ(Accusations(sim, 10, SwimSim::NameOf(4)), 0u) << seed;
    for (const SimEvent& event : sim.events()) {
      EXPECT_EQ(event.about, SwimSim::NameOf(4)) << seed;
    }
  }
}

TEST(SwimSim, ARestartedNodeIsBack) {
  SwimSim sim({.nodes = 10, .seed = 5});
  sim.Introduce();
  sim.RunFor(absl::Seconds(3));
  sim.Kill(7);
  sim.RunFor(absl::Seconds(1));
  sim.Restart(7, 0);
  EXPECT_TRUE(sim.RunUntil([&] { return sim.Converged(); }, absl::Seconds(10)));
  sim.Kill(7);
  EXPECT_TRUE(sim.RunUntil([&] { return sim.Converged(); }, absl::Seconds(40)));
  const absl::Time back = sim.now();
  sim.Restart(7, 0);
  EXPECT_TRUE(sim.RunUntil([&] { return sim.Converged(); }, absl::Seconds(10)));
  EXPECT_LT(sim.now() - back, absl::Seconds(2));
}

// A quiet node sends one ping and one ack each probe interval, and exchanges its state.
TEST(SwimSim, AQuietPoolSendsTwoPacketsEachSecondForEachNode) {
  SwimSim sim({.nodes = 100, .seed = 6});
  sim.Introduce();
  sim.RunFor(absl::Seconds(5));
  const uint64_t before = sim.packets();
  sim.RunFor(absl::Seconds(60));
  EXPECT_NEAR(static_cast<double>(sim.packets() - before) / 60 / 100, 2.0, 0.1);
}

}  // namespace
}  // namespace pharos::gossip
