// Lists sorted by how near their nodes are, by the network coordinates that gossip learns.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "cluster/gossip/coordinate.h"
#include "registry/types.h"

namespace pharos::http {

// By the names of nodes in lower case.
using Coordinates = std::map<std::string, gossip::Coordinate>;

// How long a round trip from one node takes.
class Distances {
 public:
  // `from` in lower case; empty: nothing is sorted. `coordinates` may be null.
  Distances(std::string from, std::shared_ptr<const Coordinates> coordinates);

  bool sorts() const { return !from_.empty(); }
  // Zero for the node itself, InfiniteDuration for one of which nothing is known.
  absl::Duration To(const registry::Node& node) const;

  // Nearest first; what is equally near stays in order. `node_of` gives an element's node.
  template <typename T, typename NodeOf>
  void Sort(std::vector<T>& list, NodeOf node_of) const {
    if (!sorts()) return;
    std::vector<std::pair<absl::Duration, T>> keyed;
    keyed.reserve(list.size());
    for (T& element : list) keyed.emplace_back(To(node_of(element)), std::move(element));
    std::stable_sort(keyed.begin(), keyed.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    for (size_t i = 0; i < list.size(); ++i) list[i] = std::move(keyed[i].second);
  }

 private:
  std::string from_;
  std::shared_ptr<const Coordinates> coordinates_;
  const gossip::Coordinate* origin_ = nullptr;  // Of `from_`; null: not known.
};

}  // namespace pharos::http
