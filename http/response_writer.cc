#include "http/response_writer.h"

#include <algorithm>
#include <charconv>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"

namespace pharos::http {
namespace {

// Less is not worth compressing: it fits one packet as it is.
constexpr size_t kGzipOctetsMin = 1024;

std::string_view ReasonPhrase(int status) {
  switch (status) {
    case 100:
      return "Continue";
    case 200:
      return "OK";
    case 301:
      return "Moved Permanently";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 413:
      return "Request Entity Too Large";
    case 415:
      return "Unsupported Media Type";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 503:
      return "Service Unavailable";
    default:
      return "Status";
  }
}

std::string_view Trim(std::string_view text) {
  const absl::string_view trimmed =
      absl::StripAsciiWhitespace(absl::string_view(text.data(), text.size()));
  return {trimmed.data(), trimmed.size()};
}

bool EndsALine(std::string_view text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos;
}

void AppendHeader(std::string_view name, std::string_view value, std::string& head) {
  if (EndsALine(name) || EndsALine(value)) return;
  head += name;
  head += ": ";
  head += value;
  head += "\r\n";
}

// The weight that a coding's parameters give it; 1 if none does.
bool HasNoWeight(std::string_view parameters) {
  const size_t q = parameters.find("q=");
  if (q == std::string_view::npos) return false;
  const std::string_view weight = Trim(parameters.substr(q + 2));
  return !weight.empty() && weight.find_first_not_of("0.") == std::string_view::npos;
}

}  // namespace

bool AcceptsGzip(std::string_view accept_encoding) {
  while (!accept_encoding.empty()) {
    const size_t end = std::min(accept_encoding.find(','), accept_encoding.size());
    const std::string_view element = accept_encoding.substr(0, end);
    accept_encoding.remove_prefix(std::min(end + 1, accept_encoding.size()));
    const size_t semicolon = std::min(element.find(';'), element.size());
    const std::string_view coding = Trim(element.substr(0, semicolon));
    if (!absl::EqualsIgnoreCase(absl::string_view(coding.data(), coding.size()), "gzip")) continue;
    return !HasNoWeight(element.substr(semicolon));
  }
  return false;
}

Encoded EncodeResponse(const Response& response, const Delivery& delivery, std::string_view date,
                       const TextPairs& added) {
  Encoded encoded;
  const size_t plain_octets = response.body == nullptr ? 0 : response.body->plain().size();
  const bool gzip = delivery.gzip && !delivery.stream && plain_octets >= kGzipOctetsMin;
  if (response.body != nullptr && !delivery.stream) {
    encoded.body = gzip ? response.body->gzipped() : response.body->plain();
  }
  std::string& head = encoded.head;
  absl::StrAppend(&head, "HTTP/1.1 ", response.status, " ");
  head += ReasonPhrase(response.status);
  head += "\r\n";
  if (!response.content_type.empty()) AppendHeader("Content-Type", response.content_type, head);
  for (const auto& [name, value] : response.headers) AppendHeader(name, value, head);
  for (const auto& [name, value] : added) AppendHeader(name, value, head);
  AppendHeader("Vary", "Accept-Encoding", head);
  AppendHeader("Date", date, head);
  if (gzip) AppendHeader("Content-Encoding", "gzip", head);
  if (!delivery.stream) {
    AppendHeader("Content-Length", absl::StrCat(encoded.body.size()), head);
  } else if (!delivery.http_1_0) {
    AppendHeader("Transfer-Encoding", "chunked", head);
  }
  if (!delivery.keep_alive) {
    AppendHeader("Connection", "close", head);
  } else if (delivery.http_1_0) {
    AppendHeader("Connection", "keep-alive", head);
  }
  head += "\r\n";
  if (delivery.head_only) encoded.body = {};
  return encoded;
}

std::string EncodeChunk(std::string_view piece) {
  std::string chunk = absl::StrFormat("%x\r\n", piece.size());
  chunk += piece;
  chunk += "\r\n";
  return chunk;
}

std::string FormatDate(absl::Time time) {
  return absl::FormatTime("%a, %d %b %Y %H:%M:%S GMT", time, absl::UTCTimeZone());
}

}  // namespace pharos::http
