// How long a node is suspected before it is taken for dead: the longer, the fewer others suspect it
// as well (Lifeguard, Dadgar et al., DSN-W 2018, section IV-B).
#pragma once

#include <string>
#include <string_view>

#include "absl/container/flat_hash_set.h"
#include "absl/time/time.h"
#include "cluster/gossip/profile.h"

namespace pharos::gossip {

class Suspicion {
 public:
  // `nodes` is how many the accusing node knows, itself among them.
  Suspicion(const Profile& profile, size_t nodes, std::string_view accuser, absl::Time now);

  // That another node suspects it, too. True if that is news, up to the number that counts.
  bool Confirm(std::string_view accuser);
  // When the suspected node is to be taken for dead.
  absl::Time deadline() const;
  // For time that passed without us: a stalled node accuses nobody for it.
  void Postpone(absl::Duration by) { start_ += by; }

  size_t confirmations() const { return accusers_.size() - 1; }

 private:
  absl::Time start_;
  absl::Duration min_, max_;
  size_t confirmations_max_;
  absl::flat_hash_set<std::string> accusers_;
};

}  // namespace pharos::gossip
