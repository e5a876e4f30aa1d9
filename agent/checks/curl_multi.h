// libcurl's transfers on a libuv loop, as its manual shows for the multi-socket interface
// (https://curl.se/libcurl/c/multi-uv.html): no thread a transfer.
#pragma once

#include <curl/curl.h>
#include <uv.h>

#include <functional>

#include "absl/container/flat_hash_map.h"
#include "base/loop.h"

namespace pharos::agent {

// All calls are on the loop's thread.
class CurlMulti {
 public:
  using Done = std::function<void(CURLcode)>;

  explicit CurlMulti(uv_loop_t* loop);
  // Every transfer has ended or was removed.
  ~CurlMulti();
  CurlMulti(const CurlMulti&) = delete;
  CurlMulti& operator=(const CurlMulti&) = delete;

  // Starts a transfer; `easy` is borrowed until `done` or Remove. `done` is called later, and may
  // add and remove transfers.
  void Add(CURL* easy, Done done);
  // Ends a transfer; nothing if it has ended. Not from within a callback of libcurl.
  void Remove(CURL* easy);

 private:
  static int OnSocket(CURL* easy, curl_socket_t socket, int what, void* self, void* poll);
  static int OnTimer(CURLM* multi, long timeout_ms, void* self);
  void Act(curl_socket_t socket, int events);

  uv_loop_t* loop_;
  LoopTimer timer_;
  CURLM* multi_;
  absl::flat_hash_map<CURL*, Done> running_;
};

}  // namespace pharos::agent
