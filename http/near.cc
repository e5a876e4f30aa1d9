#include "http/near.h"

#include "registry/records.h"

namespace pharos::http {

Distances::Distances(std::string from, std::shared_ptr<const Coordinates> coordinates)
    : from_(std::move(from)), coordinates_(std::move(coordinates)) {
  if (coordinates_ == nullptr) return;
  const auto found = coordinates_->find(from_);
  if (found != coordinates_->end()) origin_ = &found->second;
}

absl::Duration Distances::To(const registry::Node& node) const {
  const std::string name = registry::LowerCase(node.name);
  if (name == from_) return absl::ZeroDuration();
  if (origin_ == nullptr) return absl::InfiniteDuration();
  const auto found = coordinates_->find(name);
  if (found == coordinates_->end()) return absl::InfiniteDuration();
  return gossip::EstimateRoundTrip(*origin_, found->second);
}

}  // namespace pharos::http
