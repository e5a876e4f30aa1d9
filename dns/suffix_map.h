// Values by domain: a name finds that of the longest domain it is at or below.
#pragma once

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "dns/name.h"

namespace pharos::dns {

template <typename Value>
class SuffixMap {
 public:
  void Set(const Name& domain, Value value) {
    labels_max_ = std::max(labels_max_, domain.CountLabels());
    values_.insert_or_assign(domain, std::move(value));
  }
  bool empty() const { return values_.empty(); }

  // Null if the name is below none of the domains. Takes one look-up for each length that a domain
  // has at most, so a name of many labels costs no more than one of few.
  const Value* Find(const Name& name) const {
    if (values_.empty()) return nullptr;
    Name suffix = name;
    for (size_t labels = name.CountLabels();; --labels) {
      if (labels <= labels_max_) {
        const auto at = values_.find(suffix);
        if (at != values_.end()) return &at->second;
      }
      if (labels == 0) return nullptr;
      suffix = suffix.Parent();
    }
  }

 private:
  absl::flat_hash_map<Name, Value> values_;
  size_t labels_max_ = 0;
};

}  // namespace pharos::dns
