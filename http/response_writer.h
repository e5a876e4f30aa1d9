// Responses as octets (RFC 9112 section 4). No sockets.
#pragma once

#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "http/message.h"

namespace pharos::http {

// How a response goes out on a connection.
struct Delivery {
  bool http_1_0 = false;
  bool keep_alive = true;  // False: `Connection: close`.
  bool head_only = false;  // The request was HEAD.
  bool gzip = false;       // The client accepts it.
  bool stream = false;     // The length is not known: in chunks, or until the connection closes.
};

// Whether a client with this Accept-Encoding header takes gzip (RFC 9110 section 12.5.3).
bool AcceptsGzip(std::string_view accept_encoding);

// What is sent: the head, and then the body, borrowed from the response.
struct Encoded {
  std::string head;
  std::string_view body;
};
// `date` is the Date header's value; `added` are headers of every response. Header names and values
// that could end a line are left out.
Encoded EncodeResponse(const Response& response, const Delivery& delivery, std::string_view date,
                       const TextPairs& added);

// A piece of a chunked body (RFC 9112 section 7.1); not empty.
std::string EncodeChunk(std::string_view piece);
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";

// As HTTP writes dates: `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 section 5.6.7).
std::string FormatDate(absl::Time time);

}  // namespace pharos::http
