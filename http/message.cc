#include "http/message.h"

#include <zlib.h>

#include <algorithm>
#include <array>

#include "base/check.h"

namespace pharos::http {
namespace {

constexpr std::array<std::string_view, 7> kMethodNames = {"GET",  "PUT",     "POST", "DELETE",
                                                          "HEAD", "OPTIONS", ""};

std::optional<std::string_view> FirstValue(const TextPairs& pairs, std::string_view name) {
  const auto found = std::find_if(pairs.begin(), pairs.end(),
                                  [name](const auto& pair) { return pair.first == name; });
  if (found == pairs.end()) return std::nullopt;
  return found->second;
}

std::optional<int> HexValue(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return std::nullopt;
}

}  // namespace

std::string_view MethodName(Method method) { return kMethodNames[static_cast<size_t>(method)]; }

std::optional<std::string_view> Request::Header(std::string_view name) const {
  return FirstValue(headers, name);
}

std::optional<std::string_view> Request::Parameter(std::string_view name) const {
  return FirstValue(query, name);
}

const std::string& Body::gzipped() const {
  if (!gzipped_.empty()) return gzipped_;
  constexpr int kGzipWindowBits = 15 + 16;  // zlib's way to ask for the gzip format.
  constexpr int kMemoryLevel = 8;
  z_stream stream{};
  CHECK(deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, kGzipWindowBits, kMemoryLevel,
                     Z_DEFAULT_STRATEGY) == Z_OK);
  gzipped_.resize(deflateBound(&stream, plain_.size()));
  std::string input = plain_;  // zlib's input is not const.
  stream.next_in = reinterpret_cast<Bytef*>(input.data());
  stream.avail_in = static_cast<uInt>(input.size());
  stream.next_out = reinterpret_cast<Bytef*>(gzipped_.data());
  stream.avail_out = static_cast<uInt>(gzipped_.size());
  CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  gzipped_.resize(stream.total_out);
  deflateEnd(&stream);
  return gzipped_;
}

Response EmptyResponse(int status) {
  return {.status = status, .content_type = {}, .headers = {}, .body = nullptr};
}

Response TextResponse(int status, std::string text) {
  return {.status = status,
          .content_type = "text/plain; charset=utf-8",
          .headers = {},
          .body = std::make_shared<const Body>(std::move(text))};
}

Response JsonResponse(std::string json) {
  return {.status = 200,
          .content_type = "application/json",
          .headers = {},
          .body = std::make_shared<const Body>(std::move(json))};
}

std::optional<std::string> PercentDecode(std::string_view text, bool plus_is_blank) {
  std::string decoded;
  decoded.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_blank) {
      decoded += ' ';
    } else if (text[i] != '%') {
      decoded += text[i];
    } else {
      if (i + 2 >= text.size()) return std::nullopt;
      const std::optional<int> high = HexValue(text[i + 1]), low = HexValue(text[i + 2]);
      if (!high || !low) return std::nullopt;
      decoded += static_cast<char>(*high * 16 + *low);
      i += 2;
    }
  }
  return decoded;
}

}  // namespace pharos::http
