// The newest entries of the log, as followers are sent them: each encoded once, shared by all, and
// kept until the bound pushes it out. Pure; the caller locks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/octets.h"

namespace pharos::cluster {

// Octets that many may hold and none may change; freed with the last of them.
using SharedOctets = std::shared_ptr<const std::string>;

class ChangeRing {
 public:
  static constexpr size_t kOctetsMax = size_t{32} << 20;
  static constexpr size_t kChangesMax = size_t{1} << 16;

  // Holds nothing; whoever is at `index` misses nothing.
  void Reset(uint64_t index);
  // The next entry; `index` is above all before.
  void Add(uint64_t index, Octets entry);

  // Whether all entries behind `index` are here. So it is for an index that is still to come, as of
  // a follower that another server told more than this one knows.
  bool Covers(uint64_t index) const { return index >= floor_; }
  // Entries behind `index`, which is covered, from the oldest on: the serialized FollowResponses of
  // as many as fit in `octets_max`, but at least one; none when there is none. Moves `index` on to
  // the last of them.
  std::vector<SharedOctets> Take(uint64_t& index, size_t octets_max) const;

  uint64_t last_index() const { return changes_.empty() ? floor_ : changes_.back().index; }
  size_t octets() const { return octets_; }
  size_t size() const { return changes_.size(); }

 private:
  struct Entry {
    uint64_t index;
    SharedOctets response;
  };
  std::deque<Entry> changes_;
  uint64_t floor_ = 0;  // Every entry behind it is in changes_.
  size_t octets_ = 0;
};

}  // namespace pharos::cluster
