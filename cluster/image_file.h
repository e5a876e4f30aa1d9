// The form that a catalog image has on disk, on its way to another server, and in a backup: a
// header, then blocks each with its length and CRC-32, then an end with their number, so that what
// is missing or was changed is noticed. Pure functions of octets.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "base/octets.h"

namespace pharos::cluster {

// The version that is written; older ones are read, newer ones refused.
inline constexpr uint32_t kImageVersion = 1;
// A longer block is none of ours.
inline constexpr uint32_t kImageBlockOctetsMax = uint32_t{256} << 20;

class ImageFileWriter {
 public:
  ImageFileWriter();
  void Add(std::string block);
  // The parts of the file, in order; together a multiple of 8 octets.
  std::vector<std::string> Finish();

 private:
  std::vector<std::string> parts_;
  uint32_t count_ = 0;
  size_t octets_ = 0;
};

// Calls `take` with each block once its CRC-32 has been found right, and returns the first error:
// `take`'s, FailedPrecondition for another format or version, DataLoss for damage.
absl::Status ReadImageFile(Octets file, const std::function<absl::Status(std::string_view)>& take);

}  // namespace pharos::cluster
