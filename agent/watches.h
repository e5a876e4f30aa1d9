// Calls the commands and endpoints that the configuration's `watches` name, with each new answer of
// the API's read that they watch.
#pragma once

#include <memory>
#include <vector>

#include "agent/checks/children.h"
#include "agent/checks/curl_multi.h"
#include "agent/config/watch.h"
#include "base/loop.h"
#include "base/loop_mailbox.h"
#include "http/api.h"
#include "http/server.h"

namespace pharos::agent {

class Watches {
 public:
  // Calls from `loop`'s thread; asks on the first thread of `http`, as any client would. Both
  // outlive this. Constructed and destroyed on another thread than both.
  Watches(Loop& loop, http::Server& http);
  // Ends every call, and what commands have left running in their process groups.
  ~Watches();
  Watches(const Watches&) = delete;
  Watches& operator=(const Watches&) = delete;

  // From another thread than the loop's: what is watched from now on. Those that were watched
  // already go on.
  void Set(const std::vector<WatchDefinition>& definitions);

 private:
  class Watch;
  // Of the loop's thread.
  struct State {
    // On the loop `on`; the mailbox is that of the API `of`.
    State(Loop& on, http::Api& of, std::shared_ptr<LoopMailbox> mailbox);

    Loop& loop;
    http::Api& api;
    std::shared_ptr<LoopMailbox> asked;  // Of the API.
    Children children;
    CurlMulti curl;
    std::vector<std::unique_ptr<Watch>> watches;
  };

  Loop& loop_;
  std::unique_ptr<State> state_;
};

}  // namespace pharos::agent
