// Requests from the octets of a connection (RFC 9112), one at a time. No sockets; one thread.
#pragma once

#include <llhttp.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "http/message.h"

namespace pharos::http {

struct ParserLimits {
  size_t head_octets_max = 1 << 20;
  size_t body_octets_max = 64 << 20;
  // Of a request to this path, which is what it is made for; empty: to none.
  std::string_view large_path = {};
  size_t large_body_octets_max = 512 << 20;
};

class RequestParser {
 public:
  enum class State {
    kIdle,      // Nothing of a request has come yet.
    kHead,      // Some of its head.
    kBody,      // Its head, and not all of its body.
    kComplete,  // All of it: take it with TakeRequest before feeding on.
    kRefused,   // It is no request: see refusal(). Nothing more is read.
  };

  explicit RequestParser(const ParserLimits& limits);
  // llhttp keeps a pointer to this.
  RequestParser(const RequestParser&) = delete;
  RequestParser& operator=(const RequestParser&) = delete;

  // Reads what belongs to the present request and returns how many octets that was; less than all
  // only when the state is then kComplete or kRefused.
  size_t Feed(std::string_view octets);

  State state() const { return state_; }
  // What to answer for kRefused: 400, 413 or 431 with a reason in plain text.
  const Response& refusal() const { return *refusal_; }

  // Of the request whose head is read: whether the client waits for a 100 before its body, and
  // whether it wants the connection kept.
  bool expects_continue() const { return expects_continue_; }
  bool keeps_alive() const { return keeps_alive_; }
  bool is_http_1_0() const { return parser_.http_major == 1 && parser_.http_minor == 0; }

  // The request, and the state is kIdle again: nothing is kept of it.
  Request TakeRequest();

 private:
  static int OnMethod(llhttp_t* parser);
  static int OnHeadersComplete(llhttp_t* parser);
  static int OnBody(llhttp_t* parser, const char* at, size_t length);
  static int OnMessageComplete(llhttp_t* parser);
  static const llhttp_settings_t& Settings();

  void Refuse(int status, std::string_view reason);
  // Looks at the head as a whole; false (and refused) when it cannot be answered.
  bool FinishHead();
  Request& request() { return under_way_->request; }

  // Apart, as most connections have none most of the time.
  struct UnderWay {
    std::string target;
    Request request;
  };

  ParserLimits limits_;
  size_t body_octets_max_ = 0;  // Of the request under way.
  llhttp_t parser_;
  State state_ = State::kIdle;
  bool in_value_ = false;  // The last octets of a header were of its value.
  bool expects_continue_ = false;
  bool keeps_alive_ = false;
  size_t head_octets_ = 0;
  std::unique_ptr<UnderWay> under_way_;
  std::unique_ptr<Response> refusal_;  // Apart, as nearly all connections have none.
};

// Splits a request's target into path and query; an absolute one loses its scheme and authority.
// False where a percent sign of the query is not followed by two hexadecimal digits.
bool ReadTarget(std::string_view target, Request& request);

}  // namespace pharos::http
