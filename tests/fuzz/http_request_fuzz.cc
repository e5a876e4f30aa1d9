// Requests of HTTP clients: the same octets whole and in pieces are the same requests.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/check.h"
#include "http/request_parser.h"
#include "http/response_writer.h"

namespace {

using pharos::http::RequestParser;

// What was read, as text.
std::string ReadAll(std::string_view octets, size_t piece) {
  RequestParser parser({.head_octets_max = 4096, .body_octets_max = 4096});
  std::string seen;
  while (!octets.empty()) {
    const std::string_view part = octets.substr(0, piece);
    const size_t used = parser.Feed(part);
    CHECK(used <= part.size());
    octets.remove_prefix(used);
    if (parser.state() == RequestParser::State::kRefused) {
      return seen + "refused " + std::to_string(parser.refusal().status);
    }
    if (parser.state() != RequestParser::State::kComplete) continue;
    const pharos::http::Request request = parser.TakeRequest();
    CHECK(request.body.size() <= 4096);
    seen.append(request.method_name).append(" ").append(request.path).append(" ");
    seen.append(request.body).append("\n");
    for (const auto& [name, value] : request.headers) {
      CHECK(value.find_first_of("\r\n") == std::string::npos);
      seen.append(name).append("=").append(value).append("\n");
    }
    (void)pharos::http::AcceptsGzip(request.Header("accept-encoding").value_or(""));
  }
  return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view octets(reinterpret_cast<const char*>(data), size);
  const std::string whole = ReadAll(octets, size == 0 ? 1 : size);
  for (const size_t piece : {size_t{1}, size_t{7}}) CHECK(ReadAll(octets, piece) == whole);
  return 0;
}
