// A named thread that runs one libuv loop: how every thread of ours waits for sockets, timers and
// work from other threads.
#pragma once

#include <uv.h>

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"

namespace pharos {

class Loop {
 public:
  // Starts the thread; `name` (at most 15 octets) is what ps and gdb show.
  explicit Loop(const std::string& name);
  // Stops if that was not done.
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Runs `work` on the loop's thread, in the order posted. From any thread. Work is control work
  // (start, stop, reconfigure, commit); it is never dropped, so who posts per request bounds that.
  // Returns false, and does not run it, once the loop has ended.
  bool Post(std::function<void()> work);
  // Runs `work` and waits for it. Not from the loop's own thread.
  void PostAndWait(const std::function<void()>& work);

  // Runs what was posted, then ends the thread. Whoever opened a handle on the loop has closed it
  // by work posted before; a handle left open is a mistake of ours and aborts. Not from the loop's
  // own thread.
  void Stop();

  // For use on the loop's thread.
  uv_loop_t* uv() { return &loop_; }
  bool IsCurrentThread() const { return std::this_thread::get_id() == thread_.get_id(); }

 private:
  void Run(const std::string& name);
  void RunPosted();

  uv_loop_t loop_;
  uv_async_t wake_;
  std::mutex mutex_;
  std::vector<std::function<void()>> posted_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

// A timer on a loop. All calls and the callback are on the loop's thread.
class LoopTimer {
 public:
  explicit LoopTimer(uv_loop_t* loop);
  // Closing ends in a later turn of the loop; the callback is not called any more.
  ~LoopTimer();
  LoopTimer(const LoopTimer&) = delete;
  LoopTimer& operator=(const LoopTimer&) = delete;

  // Calls `callback` once after `delay`; again takes the place of what was set before.
  void Once(absl::Duration delay, std::function<void()> callback);
  // Calls it every `interval`.
  void Every(absl::Duration interval, std::function<void()> callback);
  void Cancel();

 private:
  void Start(absl::Duration delay, absl::Duration repeat, std::function<void()> callback);

  // Apart from this, because libuv needs it until the handle is closed.
  struct Handle {
    uv_timer_t timer;
    std::function<void()> callback;
  };
  Handle* handle_;
};

}  // namespace pharos
