// Parts of a server's own catalog, for agents of other datacenters and those that have no more than
// parts of this one: each is encoded once when it
// has changed, whoever watches it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "base/published.h"
#include "cluster/part_watcher.h"
#include "registry/changes.h"
#include "registry/snapshot.h"

namespace pharos::cluster {

// The part of a snapshot as a serialized WatchResponse. InvalidArgument for a text that is no part.
absl::StatusOr<SharedOctets> MakePart(const registry::Snapshot& snapshot, const std::string& part);

class LocalParts {
 public:
  // One more watcher is refused.
  static constexpr size_t kWatchersMax = 65'536;

  // `published` is borrowed.
  explicit LocalParts(const Published<registry::Snapshot>& published) : published_(published) {}

  // On the catalog's thread, after a publication. True if anybody is to be told, by Wake.
  bool OnChanges(const registry::Changes& changes);
  // Any thread.
  void Wake();
  // Any thread. `ready` is called on the thread of Wake, also after the watcher has ended.
  // InvalidArgument for a text that is no part, ResourceExhausted at the bound.
  absl::StatusOr<std::unique_ptr<PartWatcher>> Watch(const std::string& part,
                                                     std::function<void()> ready);

 private:
  struct Watcher;
  struct Part {
    uint64_t version = 1;
    uint64_t encoded = 0;  // The version that `octets` is of.
    SharedOctets octets;
    std::set<Watcher*> watchers;
  };
  SharedOctets Next(Watcher& watcher);

  const Published<registry::Snapshot>& published_;
  std::mutex mutex_;
  std::map<std::string, Part> parts_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> changed_ ABSL_GUARDED_BY(mutex_);
  size_t watchers_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace pharos::cluster
