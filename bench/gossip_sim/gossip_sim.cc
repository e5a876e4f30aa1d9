// gossip_sim NODES SEED [PROFILE]: a pool in fake time (cluster/gossip/swim_sim.h). How many
// packets a quiet node sends, how long a failure takes to be known to the first and to all, how
// long a node that joins, and what a tenth of lost packets and a node that hardly runs do. Prints
// one line for each.
#include <cstdio>
#include <string_view>

#include "absl/strings/numbers.h"
#include "cluster/gossip/swim_sim.h"

namespace pharos::gossip {
namespace {

double Seconds(absl::Duration duration) { return absl::ToDoubleSeconds(duration); }

size_t Failures(const SwimSim& sim) {
  size_t failures = 0;
  for (const SimEvent& event : sim.events()) {
    failures += event.kind == SimEvent::Kind::kLeave ? 1 : 0;
  }
  return failures;
}

void MeasureQuiet(SwimSim& sim, size_t nodes) {
  constexpr int kSeconds = 30;
  const uint64_t packets = sim.packets(), octets = sim.octets();
  sim.RunFor(absl::Seconds(kSeconds));
  std::printf("quiet: %.2f packets/s, %.0f octets/s a node\n",
              static_cast<double>(sim.packets() - packets) / kSeconds / static_cast<double>(nodes),
              static_cast<double>(sim.octets() - octets) / kSeconds / static_cast<double>(nodes));
}

// How long until the others heard of what just happened to the node.
bool MeasureEvent(SwimSim& sim, const char* what, SimEvent::Kind kind, size_t node,
                  size_t observers) {
  const absl::Time begin = sim.now();
  const size_t before = sim.events().size();
  size_t heard = 0, looked_at = before;
  absl::Time first = absl::InfiniteFuture(), last;
  const bool all = sim.RunUntil(
      [&] {
        for (; looked_at < sim.events().size(); ++looked_at) {
          const SimEvent& event = sim.events()[looked_at];
          if (event.kind != kind || event.about != SwimSim::NameOf(node)) continue;
          ++heard;
          first = std::min(first, event.time);
          last = event.time;
        }
        return heard >= observers;
      },
      absl::Minutes(5));
  std::printf("%s: first %.2f s, all %zu %.2f s\n", what, Seconds(first - begin), heard,
              Seconds(last - begin));
  return all;
}

// A minute in which a node runs for a tenth of each second.
void MeasureStalls(SwimSim& sim, size_t node) {
  const size_t before = sim.events().size();
  for (int second = 0; second < 60; ++second) {
    sim.SetStalled(node, true);
    sim.RunFor(absl::Milliseconds(900));
    sim.SetStalled(node, false);
    sim.RunFor(absl::Milliseconds(100));
  }
  size_t healthy = 0, stalled = 0;
  for (size_t i = before; i < sim.events().size(); ++i) {
    if (sim.events()[i].kind != SimEvent::Kind::kLeave) continue;
    ++(sim.events()[i].about == SwimSim::NameOf(node) ? stalled : healthy);
  }
  std::printf(
      "a minute with a node stalled for 0.9 s of each second: %zu false failures of others, %zu of "
      "it\n",
      healthy, stalled);
}

int Run(size_t nodes, uint64_t seed, const Profile& profile) {
  SwimSim sim({.nodes = nodes, .profile = profile, .seed = seed});
  sim.Introduce();
  sim.RunFor(absl::Seconds(5));
  MeasureQuiet(sim, nodes);
  sim.Kill(nodes / 2);
  bool good = MeasureEvent(sim, "failure", SimEvent::Kind::kLeave, nodes / 2, nodes - 1);
  sim.RunFor(absl::Seconds(40));  // Until it is forgotten.
  sim.Restart(nodes / 2, 0);
  good &= MeasureEvent(sim, "join", SimEvent::Kind::kJoin, nodes / 2, nodes - 1);
  good &= sim.RunUntil([&] { return sim.Converged(); }, absl::Minutes(1));
  const size_t before = Failures(sim);
  sim.SetLoss(0.1);
  sim.RunFor(absl::Minutes(1));
  std::printf("a minute with a tenth of the packets lost: %zu false failures\n",
              Failures(sim) - before);
  sim.SetLoss(0);
  good &= sim.RunUntil([&] { return sim.Converged(); }, absl::Minutes(2));
  MeasureStalls(sim, nodes / 3);
  good &= sim.RunUntil([&] { return sim.Converged(); }, absl::Minutes(2));
  std::printf("%s\n", good ? "converged" : "NOT converged");
  return good ? 0 : 1;
}

}  // namespace
}  // namespace pharos::gossip

int main(int argc, char** argv) {
  using pharos::gossip::Profile;
  uint64_t nodes = 0, seed = 0;
  const bool usable = argc >= 3 && absl::SimpleAtoi(argv[1], &nodes) &&
                      absl::SimpleAtoi(argv[2], &seed) && nodes >= 3;
  if (!usable) {
    std::fprintf(stderr, "usage: gossip_sim NODES SEED [lan|fast]\n");
    return 2;
  }
  const bool fast = argc > 3 && std::string_view(argv[3]) == "fast";
  return pharos::gossip::Run(nodes, seed, fast ? Profile::Fast() : Profile::Lan());
}
