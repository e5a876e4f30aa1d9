#include "cluster/gossip/coordinate.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace pharos::gossip {
namespace {

constexpr char kVersion = 1;
constexpr double kErrorShare = 0.25, kForceShare = 0.25;  // ce and cc of the paper.
constexpr size_t kLatencies = 3;
constexpr double kGravityRho = 150;
constexpr double kZero = 1e-6;
constexpr absl::Duration kRoundTripMax = absl::Seconds(10);

double Distance(const std::vector<double>& a, const std::vector<double>& b) {
  double squares = 0;
  for (size_t i = 0; i < a.size(); ++i) squares += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(squares);
}

double RawDistance(const Coordinate& a, const Coordinate& b) {
  return Distance(a.vec, b.vec) + a.height + b.height;
}

double AdjustedDistance(const Coordinate& a, const Coordinate& b) {
  const double raw = RawDistance(a, b);
  const double adjusted = raw + a.adjustment + b.adjustment;
  return adjusted > 0 ? adjusted : raw;
}

}  // namespace

bool Coordinate::IsValid() const {
  return vec.size() == kDimensions && std::isfinite(error) && std::isfinite(adjustment) &&
         std::isfinite(height) &&
         std::all_of(vec.begin(), vec.end(), [](double part) { return std::isfinite(part); });
}

std::string PackCoordinate(const Coordinate& coordinate) {
  return EncodeMessage(kVersion, coordinate);
}

std::optional<Coordinate> ParseCoordinate(std::string_view payload) {
  if (payload.empty() || payload[0] != kVersion) return std::nullopt;
  std::optional<Coordinate> read = DecodeRecord<Coordinate>(AsOctets(payload.substr(1)));
  if (!read || !read->IsValid()) return std::nullopt;
  return read;
}

absl::Duration EstimateRoundTrip(const Coordinate& a, const Coordinate& b) {
  return absl::Nanoseconds(static_cast<int64_t>(std::min(AdjustedDistance(a, b), 1e6) * 1e9));
}

bool CoordinateClient::Set(const Coordinate& coordinate) {
  if (!coordinate.IsValid()) return false;
  own_ = coordinate;
  return true;
}

bool CoordinateClient::Update(const std::string& node, const Coordinate& other,
                              absl::Duration round_trip) {
  if (!other.IsValid() || round_trip < absl::ZeroDuration() || round_trip > kRoundTripMax) {
    return false;
  }
  const double round_trip_s = FilteredLatency(node, absl::ToDoubleSeconds(round_trip));
  UpdateVivaldi(other, round_trip_s);
  UpdateAdjustment(other, round_trip_s);
  UpdateGravity();
  if (!own_.IsValid()) {
    own_ = Coordinate();
    ++resets_;
  }
  return true;
}

double CoordinateClient::FilteredLatency(const std::string& node, double round_trip_s) {
  std::deque<double>& samples = latencies_[node];
  samples.push_back(round_trip_s);
  if (samples.size() > kLatencies) samples.pop_front();
  std::vector<double> sorted(samples.begin(), samples.end());
  std::sort(sorted.begin(), sorted.end());
  return sorted[sorted.size() / 2];
}

void CoordinateClient::UpdateVivaldi(const Coordinate& other, double round_trip_s) {
  round_trip_s = std::max(round_trip_s, kZero);
  const double distance = AdjustedDistance(own_, other);
  const double wrongness = std::abs(distance - round_trip_s) / round_trip_s;
  const double weight = own_.error / std::max(own_.error + other.error, kZero);
  own_.error = std::min(Coordinate::kErrorMax,
                        kErrorShare * weight * wrongness + own_.error * (1 - kErrorShare * weight));
  ApplyForce(kForceShare * weight * (round_trip_s - distance), other);
}

void CoordinateClient::UpdateAdjustment(const Coordinate& other, double round_trip_s) {
  adjustments_[next_adjustment_] = round_trip_s - RawDistance(own_, other);
  next_adjustment_ = (next_adjustment_ + 1) % kAdjustments;
  own_.adjustment =
      std::accumulate(adjustments_.begin(), adjustments_.end(), 0.0) / (2.0 * kAdjustments);
}

void CoordinateClient::UpdateGravity() {
  const Coordinate origin;
  const double distance = AdjustedDistance(origin, own_);
  ApplyForce(-std::pow(distance / kGravityRho, 2), origin);
}

void CoordinateClient::ApplyForce(double force, const Coordinate& other) {
  double length = Distance(own_.vec, other.vec);
  std::vector<double> direction(Coordinate::kDimensions);
  if (length > kZero) {
    for (size_t i = 0; i < direction.size(); ++i) {
      direction[i] = (own_.vec[i] - other.vec[i]) / length;
    }
  } else {
    // Two at one point part in a random direction.
    length = 0;
    double squares = 0;
    for (double& part : direction) {
      part = static_cast<double>(random_.Next() >> 11) * 0x1p-53 - 0.5;
      squares += part * part;
    }
    const double random_length = std::max(std::sqrt(squares), kZero);
    for (double& part : direction) part /= random_length;
  }
  for (size_t i = 0; i < direction.size(); ++i) own_.vec[i] += direction[i] * force;
  if (length > kZero) {
    own_.height = std::max(Coordinate::kHeightMin,
                           (own_.height + other.height) * force / length + own_.height);
  }
}

}  // namespace pharos::gossip
