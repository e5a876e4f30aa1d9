// HTTP checks.
#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "agent/checks/http_transfer.h"
#include "agent/checks/probe.h"

namespace pharos::agent {
namespace {

using registry::Health;

Health HealthOf(int code) {
  if (code >= 200 && code <= 299) return Health::kPassing;
  return code == 429 ? Health::kWarning : Health::kCritical;  // Too Many Requests (RFC 6585).
}

// RFC 9110 section 5.6.2.
bool IsToken(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

class HttpProbe : public Probe {
 public:
  HttpProbe(const ProbeContext& context, const CheckDefinition& definition, size_t octets_max)
      : context_(context),
        definition_(definition),
        method_(definition.method.empty() ? "GET" : definition.method),
        transfer_(context.curl, octets_max) {}

  ProbeResult TimedOut(absl::Duration) override {
    return Failure("context deadline exceeded (Client.Timeout exceeded while awaiting headers)");
  }

 protected:
  std::optional<ProbeResult> Begin() override {
    if (!IsToken(method_)) return Failure(absl::StrFormat("\"%s\" is no HTTP method", method_));
    HttpRequest request{.url = definition_.http,
                        .method = method_,
                        .body = definition_.body,
                        .follow_redirects = !definition_.disable_redirects,
                        .tls_skip_verify = definition_.tls_skip_verify,
                        .tls_server_name = definition_.tls_server_name};
    const std::string why_not = AddHeaders(request);
    if (!why_not.empty()) return Failure(why_not);
    transfer_.Start(request, context_.options,
                    [this](absl::StatusOr<HttpReply> reply) { TakeReply(std::move(reply)); });
    return std::nullopt;
  }

 private:
  // Returns why the definition's header fields cannot be sent, or nothing.
  std::string AddHeaders(HttpRequest& request) const {
    bool has_user_agent = false, has_accept = false;
    for (const auto& [name, values] : definition_.header) {
      if (!IsToken(name)) return absl::StrFormat("\"%s\" is no header field name", name);
      has_user_agent |= absl::EqualsIgnoreCase(name, "User-Agent");
      has_accept |= absl::EqualsIgnoreCase(name, "Accept");
      for (const std::string& value : values) {
        if (value.find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos) {
          return absl::StrFormat("the value of header field %s has more than one line", name);
        }
        // libcurl takes `Name:` as "leave it out" and `Name;` as "empty".
        request.headers.push_back(value.empty() ? absl::StrFormat("%s;", name)
                                                : absl::StrFormat("%s: %s", name, value));
      }
    }
    if (!has_user_agent) request.headers.push_back("User-Agent: " + context_.options.user_agent);
    if (!has_accept) request.headers.emplace_back("Accept: text/plain, text/*, */*");
    return {};
  }

  void TakeReply(absl::StatusOr<HttpReply> reply) {
    if (!reply.ok()) {
      Finish(Failure(std::string(reply.status().message())));
      return;
    }
    Finish({HealthOf(reply->code), absl::StrFormat("HTTP %s %s: %s Output: %s", method_,
                                                   definition_.http, reply->status, reply->body)});
  }

  // As Go writes the error of a request: `Get "URL": why`.
  ProbeResult Failure(const std::string& why) const {
    std::string verb = absl::AsciiStrToLower(method_);
    verb[0] = absl::ascii_toupper(static_cast<unsigned char>(verb[0]));
    return {Health::kCritical, absl::StrFormat("%s \"%s\": %s", verb, definition_.http, why)};
  }

  const ProbeContext& context_;
  const CheckDefinition& definition_;
  const std::string method_;
  HttpTransfer transfer_;
};

}  // namespace

std::unique_ptr<Probe> MakeHttpProbe(const ProbeContext& context, const CheckDefinition& definition,
                                     size_t octets_max) {
  return std::make_unique<HttpProbe>(context, definition, octets_max);
}

}  // namespace pharos::agent
