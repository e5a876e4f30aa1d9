// From committed commands to the snapshot that everybody reads. Confined to the raft thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "base/published.h"
#include "proto/catalog.pb.h"
#include "registry/catalog.h"
#include "registry/snapshot.h"

namespace pharos::cluster {

class StateMachine {
 public:
  explicit StateMachine(std::string datacenter);

  // Any thread may read what is published, as long as the state machine lives.
  const Published<registry::Snapshot>& published() const { return published_; }

  // Applies one committed command; its index is one more than the last. The error is what
  // Catalog::Apply says; the catalog is then unchanged. Not visible before Publish.
  absl::Status Apply(const catalog::v1::Command& command);
  // Makes all that was applied visible at once, and frees what no reader can hold any more. Returns
  // what that changed, good until the next call.
  const registry::Changes& Publish();

  uint64_t last_index() const { return last_index_; }

 private:
  registry::Catalog catalog_;
  // The empty catalog is that of index 1: clients take 0 for no index at all.
  uint64_t last_index_ = 1;
  Published<registry::Snapshot> published_;
};

}  // namespace pharos::cluster
