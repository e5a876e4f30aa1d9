#include "http/request_parser.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_format.h"

namespace pharos::http {
namespace {

RequestParser& Self(llhttp_t* parser) { return *static_cast<RequestParser*>(parser->data); }

Method MethodOf(uint8_t method) {
  switch (method) {
    case HTTP_GET:
      return Method::kGet;
    case HTTP_PUT:
      return Method::kPut;
    case HTTP_POST:
      return Method::kPost;
    case HTTP_DELETE:
      return Method::kDelete;
    case HTTP_HEAD:
      return Method::kHead;
    case HTTP_OPTIONS:
      return Method::kOptions;
    default:
      return Method::kOther;
  }
}

// Octets that may not stand in a header's value (RFC 9110 section 5.5); llhttp lets some of them
// by.
bool HasControlOctet(std::string_view value) {
  return value.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos;
}

void TrimBlanks(std::string& value) {
  const size_t first = value.find_first_not_of(" \t");
  if (first == std::string::npos) {
    value.clear();
    return;
  }
  value.erase(value.find_last_not_of(" \t") + 1);
  value.erase(0, first);
}

}  // namespace

bool ReadTarget(std::string_view target, Request& request) {
  if (!target.starts_with('/')) {
    // Absolute form (RFC 9112 section 3.2.2): whoever asks us through a proxy's settings.
    const size_t scheme = target.find("://");
    if (scheme != std::string_view::npos) {
      const size_t path = target.find_first_of("/?", scheme + 3);
      target = path == std::string_view::npos ? "/" : target.substr(path);
    }
  }
  target = target.substr(0, target.find('#'));
  const size_t mark = target.find('?');
  request.path = target.substr(0, mark);
  if (mark == std::string_view::npos) return true;
  std::string_view rest = target.substr(mark + 1);
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('&'), rest.size());
    const std::string_view pair = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (pair.empty()) continue;
    const size_t equals = std::min(pair.find('='), pair.size());
    std::optional<std::string> name = PercentDecode(pair.substr(0, equals), true);
    std::optional<std::string> value =
        PercentDecode(pair.substr(std::min(equals + 1, pair.size())), true);
    if (!name || !value) return false;
    request.query.emplace_back(*std::move(name), *std::move(value));
  }
  return true;
}

const llhttp_settings_t& RequestParser::Settings() {
  static const llhttp_settings_t kSettings = [] {
    llhttp_settings_t settings;
    llhttp_settings_init(&settings);
    settings.on_message_begin = [](llhttp_t* parser) {
      Self(parser).state_ = State::kHead;
      Self(parser).under_way_ = std::make_unique<UnderWay>();
      return 0;
    };
    settings.on_url = [](llhttp_t* parser, const char* at, size_t length) {
      Self(parser).under_way_->target.append(at, length);
      return 0;
    };
    settings.on_header_field = [](llhttp_t* parser, const char* at, size_t length) {
      RequestParser& self = Self(parser);
      TextPairs& headers = self.request().headers;
      if (std::exchange(self.in_value_, false) || headers.empty()) headers.emplace_back();
      headers.back().first.append(at, length);
      return 0;
    };
    settings.on_header_value = [](llhttp_t* parser, const char* at, size_t length) {
      RequestParser& self = Self(parser);
      self.in_value_ = true;
      self.request().headers.back().second.append(at, length);
      return 0;
    };
    settings.on_headers_complete = &RequestParser::OnHeadersComplete;
    settings.on_body = &RequestParser::OnBody;
    settings.on_message_complete = &RequestParser::OnMessageComplete;
    return settings;
  }();
  return kSettings;
}

RequestParser::RequestParser(const ParserLimits& limits) : limits_(limits) {
  llhttp_init(&parser_, HTTP_REQUEST, &Settings());
  parser_.data = this;
}

size_t RequestParser::Feed(std::string_view octets) {
  if (state_ == State::kComplete || state_ == State::kRefused) return 0;
  const bool in_head = state_ != State::kBody;
  // One octet more than a head may have is enough to see that it is too long.
  const size_t take =
      in_head ? std::min(octets.size(), limits_.head_octets_max + 1 - head_octets_) : octets.size();
  const llhttp_errno_t error = llhttp_execute(&parser_, octets.data(), take);
  size_t used = take;
  if (error != HPE_OK) {
    used = static_cast<size_t>(llhttp_get_error_pos(&parser_) - octets.data());
  }
  if (in_head) head_octets_ += used;
  if (state_ == State::kRefused) return octets.size();
  if (error == HPE_PAUSED && state_ == State::kComplete) {
    llhttp_resume(&parser_);
    return used;
  }
  if (error != HPE_OK) {
    const char* reason = llhttp_get_error_reason(&parser_);
    Refuse(400, absl::StrFormat("Bad request: %s",
                                reason == nullptr || *reason == '\0' ? "no HTTP/1.1" : reason));
    return octets.size();
  }
  if (state_ == State::kHead && head_octets_ > limits_.head_octets_max) {
    Refuse(431, absl::StrFormat("Request header too large; expected at most %d octets",
                                limits_.head_octets_max));
    return octets.size();
  }
  // What was held back of a body that has begun.
  return used < octets.size() ? used + Feed(octets.substr(used)) : used;
}

int RequestParser::OnHeadersComplete(llhttp_t* parser) {
  // We speak no other protocol: a wish to change to one is not granted, and the request answered.
  parser->upgrade = 0;
  return Self(parser).FinishHead() ? 0 : -1;
}

bool RequestParser::FinishHead() {
  state_ = State::kBody;
  Request& request = this->request();
  if (parser_.method == HTTP_CONNECT) {
    Refuse(400, "Bad request: this is no proxy");
    return false;
  }
  request.method = MethodOf(parser_.method);
  request.method_name = llhttp_method_name(static_cast<llhttp_method_t>(parser_.method));
  if (!ReadTarget(under_way_->target, request)) {
    Refuse(400, "Bad request: expected two hexadecimal digits behind each percent sign");
    return false;
  }
  for (auto& [name, value] : request.headers) {
    // Servers that disagree on what such a name is can be played against each other.
    if (name.empty() || name.find_first_of(" \t") != std::string::npos) {
      Refuse(400, "Bad request: a blank in, or before the colon behind, a header's name");
      return false;
    }
    if (HasControlOctet(value) || HasControlOctet(name)) {
      Refuse(400, absl::StrFormat("Bad request: a control character in header \"%s\"",
                                  name.substr(0, name.find_first_of("\r\n"))));
      return false;
    }
    absl::AsciiStrToLower(&name);
    TrimBlanks(value);
  }
  const bool is_1_1 = parser_.http_major > 1 || (parser_.http_major == 1 && parser_.http_minor > 0);
  if (is_1_1 && !request.Header("host")) {
    Refuse(400, "Bad request: missing required Host header");
    return false;
  }
  const bool large = !limits_.large_path.empty() && request.path == limits_.large_path;
  body_octets_max_ = large ? limits_.large_body_octets_max : limits_.body_octets_max;
  if (parser_.content_length > body_octets_max_ && (parser_.flags & F_CONTENT_LENGTH) != 0) {
    Refuse(413, absl::StrFormat("Request body(%d bytes) too large, max size: %d bytes.",
                                parser_.content_length, body_octets_max_));
    return false;
  }
  const std::string_view expect = request.Header("expect").value_or("");
  expects_continue_ =
      absl::EqualsIgnoreCase(absl::string_view(expect.data(), expect.size()), "100-continue");
  keeps_alive_ = llhttp_should_keep_alive(&parser_) == 1;
  return true;
}

int RequestParser::OnBody(llhttp_t* parser, const char* at, size_t length) {
  RequestParser& self = Self(parser);
  if (self.request().body.size() + length > self.body_octets_max_) {
    self.Refuse(
        413, absl::StrFormat("Request body too large, max size: %d bytes.", self.body_octets_max_));
    return -1;
  }
  self.request().body.append(at, length);
  return 0;
}

int RequestParser::OnMessageComplete(llhttp_t* parser) {
  Self(parser).state_ = State::kComplete;
  return HPE_PAUSED;
}

void RequestParser::Refuse(int status, std::string_view reason) {
  state_ = State::kRefused;
  refusal_ = std::make_unique<Response>(TextResponse(status, std::string(reason)));
}

Request RequestParser::TakeRequest() {
  state_ = State::kIdle;
  head_octets_ = 0;
  in_value_ = false;
  expects_continue_ = false;
  Request request = std::move(under_way_->request);
  under_way_.reset();
  return request;
}

}  // namespace pharos::http
