// A catalog that is kept in step with a server's: what the server sends (FollowResponse in
// proto/peer.proto) is put together and applied. Pure; one thread, that of the catalog.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/octets.h"
#include "base/published.h"
#include "cluster/state_machine.h"
#include "proto/catalog.pb.h"
#include "proto/peer.pb.h"
#include "registry/changes.h"
#include "registry/snapshot.h"

namespace pharos::cluster {

class CatalogFollower {
 public:
  // No image is larger.
  static constexpr size_t kImageOctetsMax = size_t{4} << 30;

  CatalogFollower(std::string datacenter, std::string node);

  // Until there is a catalog, what is published is empty and its index 0.
  const Published<registry::Snapshot>& published() const { return state_.published(); }
  bool has_catalog() const { return has_catalog_; }
  // Of the last entry of the log that is in the catalog; 0 without one.
  uint64_t index() const { return has_catalog_ ? state_.last_index() : 0; }
  const std::string& cluster_id() const { return state_.cluster_id(); }
  // What the server said last of itself.
  const peer::v1::Pulse& pulse() const { return pulse_; }
  struct Counters {
    uint64_t images = 0, changes = 0, octets = 0;
  };
  const Counters& counters() const { return counters_; }

  // What a server is asked when it is followed from now on; what another began to send is void.
  peer::v1::FollowRequest Begin();
  // What it then sends. An error is not to be got over by reading on: DataLoss for what cannot be
  // right, FailedPrecondition for what only a newer version understands. The catalog stays as it
  // was, and the next Begin asks for the whole.
  absl::Status Take(const peer::v1::FollowResponse& response);

  // The catalog of an image that was kept.
  absl::Status Load(Octets image);
  // Changes made here alone, as nobody is there who would do it for all. The next Begin asks for
  // the whole, so that they are in the catalog for as long as nobody is followed.
  absl::Status ApplyHere(const catalog::v1::Command& command);
  // Whether ApplyHere changed anything since a server's catalog was taken.
  bool has_changes_here() const { return changed_here_; }

  bool has_unpublished() const { return state_.has_unpublished(); }
  // Makes what was taken visible; what that changed is good until the next call.
  const registry::Changes& Publish() { return state_.Publish(); }
  // What is published, as StateMachine::TakeImage. Not while there are changes made here.
  std::function<std::vector<std::string>()> TakeImage(int64_t time_unix_ms) {
    return state_.TakeImage(0, time_unix_ms);
  }

 private:
  absl::Status TakeParts(const peer::v1::FollowResponse& response);
  absl::Status TakeChange(const peer::v1::Change& change);

  const std::string datacenter_, node_;
  StateMachine state_;
  bool has_catalog_ = false;
  bool changed_here_ = false;
  bool broken_ = false;  // The whole is needed.
  std::string image_;    // As far as it came.
  peer::v1::Pulse pulse_;
  Counters counters_;
};

}  // namespace pharos::cluster
