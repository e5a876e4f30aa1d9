// Changes of the catalog on their way from the raft thread to a loop: what those who wait for them
// (HTTP blocking queries, gRPC watches and xDS) are woken by. However many publications come before
// the loop gets its turn, it is told once, of all their topics.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "base/loop.h"
#include "base/loop_mailbox.h"
#include "cluster/catalog_access.h"

namespace pharos::cluster {

class ChangeFeed {
 public:
  // Called on the loop's thread, when what it is told of is published.
  using Listener = std::function<void(const std::set<std::string>& topics)>;

  // On the loop's thread; what is borrowed outlives this.
  ChangeFeed(Loop& loop, CatalogAccess& consensus, Listener listener);
  // On the loop's thread, or once it has ended: nothing is told any more.
  ~ChangeFeed();
  ChangeFeed(const ChangeFeed&) = delete;
  ChangeFeed& operator=(const ChangeFeed&) = delete;

  // Whether anybody waits; nobody does at first, and changes then cost nothing. What is published
  // after Want(true) has returned is told.
  void Want(bool wanted);

 private:
  // On the raft thread.
  void OnChanges(const registry::Changes& changes);
  void Tell();

  CatalogAccess& consensus_;
  Listener listener_;
  std::shared_ptr<LoopMailbox> mailbox_;
  std::mutex mutex_;
  bool wanted_ ABSL_GUARDED_BY(mutex_) = false;
  std::set<std::string> topics_ ABSL_GUARDED_BY(mutex_);  // Not empty: a turn is on its way.
  int subscription_;
};

}  // namespace pharos::cluster
