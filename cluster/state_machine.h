// From committed log entries to the snapshot that everybody reads. Deterministic: the same entries
// make the same catalog on every server, as whatever depends on the time or on chance was decided
// by who proposed it. Confined to the raft thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/octets.h"
#include "base/published.h"
#include "proto/catalog.pb.h"
#include "proto/log.pb.h"
#include "registry/catalog.h"
#include "registry/snapshot.h"

namespace pharos::cluster {

// The octets of a log entry: its form and version, its length, the message, zeros up to a multiple
// of 8. At most kEntryOctetsMax.
inline constexpr size_t kEntryOctetsMax = size_t{64} << 20;
std::string EncodeEntry(const log::v1::Entry& entry);
// FailedPrecondition for an entry of a newer version of Pharos, DataLoss for what is none.
absl::StatusOr<log::v1::Entry> DecodeEntry(Octets octets);

class StateMachine {
 public:
  explicit StateMachine(std::string datacenter);

  // Any thread may read what is published, as long as the state machine lives.
  const Published<registry::Snapshot>& published() const { return published_; }

  // Applies the entry at `index`, which grows from call to call; not visible before Publish. Gives
  // the outcome of each command: what Catalog::Apply says, which leaves the catalog as it was.
  // FailedPrecondition, and nothing applied, when this version does not know what to do with it:
  // then the server must stop, as it would no longer be like the others.
  absl::StatusOr<std::vector<absl::Status>> Apply(uint64_t index, const log::v1::Entry& entry);
  // Makes all that was applied visible at once, and frees what no reader can hold any more. Returns
  // what that changed, good until the next call.
  const registry::Changes& Publish();
  bool has_unpublished() const { return unpublished_; }

  // What is published, which must be all that was applied, as an image (cluster/image_file.h): a
  // function that may run on another thread, and once.
  std::function<std::vector<std::string>()> TakeImage(uint64_t term, int64_t time_unix_ms);
  // Puts the state of an image in the place of this one. An error leaves it as it was.
  absl::Status Restore(Octets image);
  // What an image says of itself, once all of it was found to be whole.
  struct Contents {
    log::v1::ImageInfo info;
    catalog::v1::ImageHeader header;
  };
  static absl::StatusOr<Contents> Check(Octets image);

  // The newest index that was applied; 1 before any.
  uint64_t last_index() const { return last_index_; }
  // Of the cluster whose log this is; empty until its first entry was applied.
  const std::string& cluster_id() const { return cluster_id_; }
  // Its modify_index is 0 until it was set.
  const log::v1::Autopilot& autopilot() const { return autopilot_; }

 private:
  struct ReadImage {
    log::v1::ImageInfo info;
    catalog::v1::ImageHeader header;
    std::unique_ptr<registry::Catalog> catalog;
  };
  static absl::StatusOr<ReadImage> Read(Octets image, uint64_t index_max);
  absl::Status TakePart(uint64_t index, const log::v1::RestorePart& part);
  absl::Status SetAutopilot(uint64_t index, const log::v1::SetAutopilot& change);
  void Replace(std::unique_ptr<registry::Catalog> catalog);

  std::unique_ptr<registry::Catalog> catalog_;
  // The empty catalog is that of index 1: clients take 0 for no index at all.
  uint64_t last_index_ = 1;
  std::string cluster_id_;
  log::v1::Autopilot autopilot_;
  std::vector<log::v1::RestorePart> restore_;  // Parts that came so far.
  bool unpublished_ = false;
  Published<registry::Snapshot> published_;
};

}  // namespace pharos::cluster
