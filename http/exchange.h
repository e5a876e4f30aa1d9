// One request and its answer. A handler gets it with the whole request read, and answers now or
// later.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/loop.h"
#include "http/message.h"

namespace pharos::http {

// Shared by the connection it came on and whoever will answer it, as either may be gone first. All
// calls are on the connection's loop thread; other threads post to loop().
class Exchange {
 public:
  virtual ~Exchange() = default;

  virtual const Request& request() const = 0;
  virtual Loop& loop() = 0;

  // Answers, once. Does nothing when the client has left.
  virtual void Respond(Response response) = 0;

  // For answers without an end known beforehand: the head (its body is ignored), then pieces, in
  // chunks of their own (RFC 9112 section 7.1), then the end.
  virtual void BeginStream(Response head) = 0;
  // False when the client has left, or reads so slowly that its unsent octets are at their bound;
  // the piece is then not sent.
  virtual bool Write(std::string_view piece) = 0;
  virtual void EndStream() = 0;

  // Whether nobody is there any more to answer.
  virtual bool gone() const = 0;
  // For who keeps a request for long and knows what it asks: all but its path and its query may be
  // forgotten, so that many can be held.
  virtual void ForgetTheRest() {}
  // Called at most once, when the client leaves before it is answered: at once, also while the
  // request is held.
  virtual void OnGone(std::function<void()> callback) = 0;
};

// What answers the requests of one thread's connections.
class ThreadHandler {
 public:
  virtual ~ThreadHandler() = default;
  // Every exchange is answered once, now or later, on this thread.
  virtual void Handle(std::shared_ptr<Exchange> exchange) = 0;
};

}  // namespace pharos::http
