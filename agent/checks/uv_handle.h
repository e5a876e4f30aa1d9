// A libuv handle that its owner may let go of at any time.
#pragma once

#include <uv.h>

namespace pharos::agent {

// libuv needs a handle's memory until a turn of the loop after it was closed, so the handle lives
// apart from its owner. Callbacks find the owner in `data`, which is null once it has let go. All
// on the loop's thread.
template <typename Handle>
class UvHandle {
 public:
  UvHandle() = default;
  ~UvHandle() { Close(); }
  UvHandle(const UvHandle&) = delete;
  UvHandle& operator=(const UvHandle&) = delete;

  // Makes a handle, in place of one held before. `init` calls uv_tcp_init or its like on it; what
  // that returns is returned, and there is no handle unless it is 0.
  template <typename Init>
  int Open(void* owner, Init init) {
    Close();
    Handle* handle = new Handle;
    const int error = init(handle);
    if (error != 0) {
      delete handle;
      return error;
    }
    handle->data = owner;
    handle_ = handle;
    return 0;
  }

  void Close() {
    if (handle_ == nullptr) return;
    handle_->data = nullptr;
    uv_close(reinterpret_cast<uv_handle_t*>(handle_),
             [](uv_handle_t* closed) { delete reinterpret_cast<Handle*>(closed); });
    handle_ = nullptr;
  }

  Handle* get() const { return handle_; }
  explicit operator bool() const { return handle_ != nullptr; }

 private:
  Handle* handle_ = nullptr;
};

}  // namespace pharos::agent
