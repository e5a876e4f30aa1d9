#include "cluster/change_ring.h"

#include <algorithm>
#include <utility>

#include "proto/peer.pb.h"

namespace pharos::cluster {

void ChangeRing::Reset(uint64_t index) {
  changes_.clear();
  octets_ = 0;
  floor_ = index;
}

void ChangeRing::Add(uint64_t index, Octets entry) {
  peer::v1::FollowResponse response;
  peer::v1::Change& change = *response.add_changes();
  change.set_index(index);
  change.set_entry(entry.data(), entry.size());
  auto octets = std::make_shared<const std::string>(response.SerializeAsString());
  octets_ += octets->size();
  changes_.push_back({index, std::move(octets)});
  while (changes_.size() > kChangesMax || (octets_ > kOctetsMax && changes_.size() > 1)) {
    floor_ = changes_.front().index;
    octets_ -= changes_.front().response->size();
    changes_.pop_front();
  }
}

std::vector<SharedOctets> ChangeRing::Take(uint64_t& index, size_t octets_max) const {
  auto at =
      std::upper_bound(changes_.begin(), changes_.end(), index,
                       [](uint64_t wanted, const Entry& entry) { return wanted < entry.index; });
  std::vector<SharedOctets> taken;
  size_t octets = 0;
  for (; at != changes_.end(); ++at) {
    octets += at->response->size();
    if (!taken.empty() && octets > octets_max) break;
    taken.push_back(at->response);
    index = at->index;
  }
  return taken;
}

}  // namespace pharos::cluster
