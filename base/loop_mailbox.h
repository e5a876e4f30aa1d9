// A way to post work to something on a loop that may end before those who post.
#pragma once

#include <functional>
#include <mutex>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "base/loop.h"

namespace pharos {

// Shared by its owner, which lives on the loop, and whoever posts to it.
class LoopMailbox {
 public:
  explicit LoopMailbox(Loop& loop) : loop_(&loop) {}

  // From any thread: runs `work` on the loop's thread, unless the mailbox is closed by then. False
  // when it is closed already.
  static bool Post(const std::shared_ptr<LoopMailbox>& mailbox, std::function<void()> work) {
    const std::lock_guard lock(mailbox->mutex_);
    if (mailbox->loop_ == nullptr) return false;
    return mailbox->loop_->Post([mailbox, work = std::move(work)] {
      if (mailbox->IsOpen()) work();
    });
  }

  // On the loop's thread, or once it has ended: nothing posted runs any more.
  void Close() {
    const std::lock_guard lock(mutex_);
    loop_ = nullptr;
  }

 private:
  bool IsOpen() {
    const std::lock_guard lock(mutex_);
    return loop_ != nullptr;
  }

  std::mutex mutex_;
  Loop* loop_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace pharos
