// Network coordinates: from the round-trip times of probes, where each node is, so that the time
// between any two can be told without measuring it. Vivaldi (Dabek et al., SIGCOMM 2004) with
// heights, and with the adjustment and the gravity of Ledlie et al. (NSDI 2007), as Serf has them.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "base/random.h"
#include "cluster/gossip/record.h"

namespace pharos::gossip {

// Times in seconds. The start has nothing but its error and least height.
struct Coordinate {
  static constexpr bool kIsRecord = true;
  static constexpr size_t kDimensions = 8;
  static constexpr double kErrorMax = 1.5;
  static constexpr double kHeightMin = 1e-5;

  std::vector<double> vec = std::vector<double>(kDimensions);
  double error = kErrorMax;
  double adjustment = 0;
  double height = kHeightMin;

  template <typename Self, typename Fields>
  static void Visit(Self& self, Fields&& fields) {
    fields("Adjustment", self.adjustment);
    fields("Error", self.error);
    fields("Height", self.height);
    fields("Vec", self.vec);
  }
  friend bool operator==(const Coordinate&, const Coordinate&) = default;

  // Of kDimensions finite numbers, and finite itself.
  bool IsValid() const;
};

// As the payload of an ack: an octet of version before the record; nullopt for another version, and
// for a coordinate that is not valid.
std::string PackCoordinate(const Coordinate& coordinate);
std::optional<Coordinate> ParseCoordinate(std::string_view payload);

// The round-trip time that is to be expected between two valid coordinates.
absl::Duration EstimateRoundTrip(const Coordinate& a, const Coordinate& b);

// Keeps the coordinate of one node. One thread.
class CoordinateClient {
 public:
  explicit CoordinateClient(uint64_t seed) : random_(seed) {}

  const Coordinate& coordinate() const { return own_; }
  // Starts again where a coordinate was left; false if it is not valid.
  bool Set(const Coordinate& coordinate);

  // Learns from a round trip to `node`, which is at `other`. False, and nothing is learnt, if
  // `other` is not valid or the time not one from 0 to 10 s.
  bool Update(const std::string& node, const Coordinate& other, absl::Duration round_trip);
  void Forget(const std::string& node) { latencies_.erase(node); }

  // How often the own coordinate was no longer finite and started over.
  uint64_t resets() const { return resets_; }

 private:
  double FilteredLatency(const std::string& node, double round_trip_s);
  void UpdateVivaldi(const Coordinate& other, double round_trip_s);
  void UpdateAdjustment(const Coordinate& other, double round_trip_s);
  void UpdateGravity();
  // Moves the own coordinate away from `other`, or towards it if `force` is negative.
  void ApplyForce(double force, const Coordinate& other);

  Random random_;
  Coordinate own_;
  absl::flat_hash_map<std::string, std::deque<double>> latencies_;  // The last few, of each node.
  std::vector<double> adjustments_ = std::vector<double>(kAdjustments);
  size_t next_adjustment_ = 0;
  uint64_t resets_ = 0;

  static constexpr size_t kAdjustments = 20;
};

}  // namespace pharos::gossip
