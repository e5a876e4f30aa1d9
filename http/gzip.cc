#include "http/gzip.h"

#include <zlib.h>

namespace pharos::http {
namespace {

constexpr int kGzip = 15 + 16;  // zlib's window bits for the gzip format (RFC 1952).
constexpr size_t kStepOctets = size_t{64} << 10;

}  // namespace

std::string Gzip(const std::vector<std::string>& parts) {
  z_stream stream{};
  std::string packed;
  if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, kGzip, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    return packed;
  }
  std::string step(kStepOctets, '\0');
  const auto run = [&](std::string_view input, int flush) {
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data()));
    stream.avail_in = static_cast<uInt>(input.size());
    do {
      stream.next_out = reinterpret_cast<Bytef*>(step.data());
      stream.avail_out = static_cast<uInt>(step.size());
      deflate(&stream, flush);
      packed.append(step, 0, step.size() - stream.avail_out);
    } while (stream.avail_out == 0);
  };
  for (const std::string& part : parts) run(part, Z_NO_FLUSH);
  run({}, Z_FINISH);
  deflateEnd(&stream);
  return packed;
}

absl::StatusOr<std::string> GunzipAll(std::string_view packed) {
  z_stream stream{};
  if (inflateInit2(&stream, kGzip) != Z_OK) return absl::InternalError("out of memory");
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  std::string image, step(kStepOctets, '\0');
  int code = Z_OK;
  while (code == Z_OK && image.size() <= kGunzipOctetsMax) {
    stream.next_out = reinterpret_cast<Bytef*>(step.data());
    stream.avail_out = static_cast<uInt>(step.size());
    code = inflate(&stream, Z_NO_FLUSH);
    image.append(step, 0, step.size() - stream.avail_out);
  }
  inflateEnd(&stream);
  if (code != Z_STREAM_END) {
    return absl::DataLossError("it is not in the gzip format, or is damaged");
  }
  return image;
}

}  // namespace pharos::http
