#include "base/loop.h"

#include <pthread.h>

#include <algorithm>
#include <latch>
#include <utility>

#include "base/check.h"

namespace pharos {

Loop::Loop(const std::string& name) {
  CHECK(uv_loop_init(&loop_) == 0);
  wake_.data = this;
  CHECK(uv_async_init(&loop_, &wake_,
                      [](uv_async_t* wake) { static_cast<Loop*>(wake->data)->RunPosted(); }) == 0);
  thread_ = std::thread([this, name] { Run(name); });
}

Loop::~Loop() { Stop(); }

void Loop::Run(const std::string& name) {
  pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
  uv_run(&loop_, UV_RUN_DEFAULT);
  CHECK(uv_loop_close(&loop_) == 0);
}

bool Loop::Post(std::function<void()> work) {
  const std::lock_guard lock(mutex_);
  if (ended_) return false;
  posted_.push_back(std::move(work));
  uv_async_send(&wake_);
  return true;
}

void Loop::PostAndWait(const std::function<void()>& work) {
  std::latch done(1);
  const bool posted = Post([&] {
    work();
    done.count_down();
  });
  if (posted) done.wait();
}

void Loop::RunPosted() {
  while (true) {
    std::vector<std::function<void()>> batch;
    {
      const std::lock_guard lock(mutex_);
      batch.swap(posted_);
      if (batch.empty()) {
        if (!stopping_ || ended_) return;
        ended_ = true;
      }
    }
    if (batch.empty()) {
      uv_close(reinterpret_cast<uv_handle_t*>(&wake_), nullptr);
      return;
    }
    for (const std::function<void()>& work : batch) work();
  }
}

void Loop::Stop() {
  if (!thread_.joinable()) return;
  CHECK(!IsCurrentThread());
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    uv_async_send(&wake_);
  }
  thread_.join();
}

LoopTimer::LoopTimer(uv_loop_t* loop) : handle_(new Handle) {
  uv_timer_init(loop, &handle_->timer);
  handle_->timer.data = handle_;
}

LoopTimer::~LoopTimer() {
  uv_close(reinterpret_cast<uv_handle_t*>(&handle_->timer),
           [](uv_handle_t* timer) { delete static_cast<Handle*>(timer->data); });
}

void LoopTimer::Once(absl::Duration delay, std::function<void()> callback) {
  Start(delay, absl::ZeroDuration(), std::move(callback));
}

void LoopTimer::Every(absl::Duration interval, std::function<void()> callback) {
  Start(interval, interval, std::move(callback));
}

void LoopTimer::Cancel() { uv_timer_stop(&handle_->timer); }

void LoopTimer::Start(absl::Duration delay, absl::Duration repeat, std::function<void()> callback) {
  handle_->callback = std::move(callback);
  const auto milliseconds = [](absl::Duration d) {
    return static_cast<uint64_t>(std::max<int64_t>(0, absl::ToInt64Milliseconds(d)));
  };
  uv_timer_start(
      &handle_->timer,
      [](uv_timer_t* timer) {
        // A copy, as the callback may set the timer anew or end it.
        const std::function<void()> due = static_cast<Handle*>(timer->data)->callback;
        due();
      },
      milliseconds(delay), milliseconds(repeat));
}

}  // namespace pharos
