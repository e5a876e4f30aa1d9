// An HTTP request that was read and a response to be written, as values (RFC 9110).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pharos::http {

enum class Method : uint8_t { kGet, kPut, kPost, kDelete, kHead, kOptions, kOther };

// The method's name as it stands in a request line; empty for kOther.
std::string_view MethodName(Method method);

// Names and values in the order given; names are not unique.
using TextPairs = std::vector<std::pair<std::string, std::string>>;

struct Request {
  Method method = Method::kGet;
  std::string_view method_name;  // As sent; for messages. Of static storage.
  std::string path;              // The target up to `?`, as sent: not percent-decoded.
  // What follows `?`, split at `&` and the first `=`, decoded once (`+` is a blank).
  TextPairs query;
  TextPairs headers;  // Names in lower case, values without blanks around them.
  std::string body;   // Decoded from chunks.
  std::string peer;   // `IP:PORT` of the client; empty for one on a Unix socket.

  // The first value of a header (its name in lower case) or of a query parameter; nullopt: absent.
  std::optional<std::string_view> Header(std::string_view name) const;
  std::optional<std::string_view> Parameter(std::string_view name) const;
  bool HasParameter(std::string_view name) const { return Parameter(name).has_value(); }
};

// A body that any number of responses on one thread may share, so that what many clients wait for
// is encoded, and compressed, once.
class Body {
 public:
  explicit Body(std::string plain) : plain_(std::move(plain)) {}

  const std::string& plain() const { return plain_; }
  // The same compressed (RFC 1952), made at the first call. One thread at a time.
  const std::string& gzipped() const;

 private:
  std::string plain_;
  mutable std::string gzipped_;
};

struct Response {
  int status = 200;
  std::string content_type;          // Empty: no header, for a response without a body.
  TextPairs headers;                 // Besides those the server adds.
  std::shared_ptr<const Body> body;  // Shared: many responses may have one. Null: empty.
};

// A response without a body.
Response EmptyResponse(int status);
// A response of plain text, which errors are.
Response TextResponse(int status, std::string text);
Response JsonResponse(std::string json);

// Percent-decodes once (RFC 3986 section 2.1); nullopt where `%` is not followed by two hex digits.
std::optional<std::string> PercentDecode(std::string_view text, bool plus_is_blank);

}  // namespace pharos::http
