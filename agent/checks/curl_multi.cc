#include "agent/checks/curl_multi.h"

#include <memory>
#include <utility>

#include "agent/checks/uv_handle.h"
#include "base/check.h"

namespace pharos::agent {
namespace {

// What we keep with each socket of libcurl's.
struct SocketPoll {
  CurlMulti* owner;
  curl_socket_t socket;
  UvHandle<uv_poll_t> poll;
};

int CurlEvents(int status, int events) {
  if (status < 0) return CURL_CSELECT_ERR;
  return ((events & UV_READABLE) != 0 ? CURL_CSELECT_IN : 0) |
         ((events & UV_WRITABLE) != 0 ? CURL_CSELECT_OUT : 0);
}

int PollEvents(int what) {
  return (what != CURL_POLL_OUT ? UV_READABLE : 0) | (what != CURL_POLL_IN ? UV_WRITABLE : 0);
}

}  // namespace

CurlMulti::CurlMulti(uv_loop_t* loop) : loop_(loop), timer_(loop) {
  static const CURLcode global = curl_global_init(CURL_GLOBAL_DEFAULT);
  CHECK(global == CURLE_OK);
  multi_ = curl_multi_init();
  CHECK(multi_ != nullptr);
  curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &CurlMulti::OnSocket);
  curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this);
  curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &CurlMulti::OnTimer);
  curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this);
  // Each run is to see for itself whether the service takes a connection.
  curl_multi_setopt(multi_, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
}

CurlMulti::~CurlMulti() {
  CHECK(running_.empty());
  curl_multi_cleanup(multi_);
}

void CurlMulti::Add(CURL* easy, Done done) {
  CHECK(!running_.contains(easy));
  running_[easy] = std::move(done);
  CHECK(curl_multi_add_handle(multi_, easy) == CURLM_OK);
}

void CurlMulti::Remove(CURL* easy) {
  if (running_.erase(easy) > 0) curl_multi_remove_handle(multi_, easy);
}

int CurlMulti::OnSocket(CURL*, curl_socket_t socket, int what, void* self, void* poll) {
  auto* owner = static_cast<CurlMulti*>(self);
  auto* kept = static_cast<SocketPoll*>(poll);
  if (what == CURL_POLL_REMOVE) {
    delete kept;
    curl_multi_assign(owner->multi_, socket, nullptr);
    return 0;
  }
  if (kept == nullptr) {
    auto added = std::make_unique<SocketPoll>();
    added->owner = owner;
    added->socket = socket;
    const int error = added->poll.Open(added.get(), [&](uv_poll_t* handle) {
      return uv_poll_init_socket(owner->loop_, handle, socket);
    });
    if (error != 0) return -1;
    kept = added.release();
    curl_multi_assign(owner->multi_, socket, kept);
  }
  uv_poll_start(kept->poll.get(), PollEvents(what), [](uv_poll_t* handle, int status, int events) {
    const auto* ready = static_cast<const SocketPoll*>(handle->data);
    ready->owner->Act(ready->socket, CurlEvents(status, events));
  });
  return 0;
}

int CurlMulti::OnTimer(CURLM*, long timeout_ms, void* self) {
  auto* owner = static_cast<CurlMulti*>(self);
  if (timeout_ms < 0) {
    owner->timer_.Cancel();
  } else {
    // Never at once: libcurl may not be entered from its own callback.
    owner->timer_.Once(absl::Milliseconds(timeout_ms),
                       [owner] { owner->Act(CURL_SOCKET_TIMEOUT, 0); });
  }
  return 0;
}

void CurlMulti::Act(curl_socket_t socket, int events) {
  int transfers = 0;
  curl_multi_socket_action(multi_, socket, events, &transfers);
  int messages = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_, &messages)) {
    if (message->msg != CURLMSG_DONE) continue;
    CURL* easy = message->easy_handle;
    const CURLcode code = message->data.result;
    const auto found = running_.find(easy);
    if (found == running_.end()) continue;
    const Done done = std::move(found->second);
    Remove(easy);
    done(code);
  }
}

}  // namespace pharos::agent
