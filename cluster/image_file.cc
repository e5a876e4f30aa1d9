#include "cluster/image_file.h"

#include <zlib.h>

#include <utility>

#include "absl/strings/str_format.h"
#include "base/check.h"
#include "base/status_macros.h"

namespace pharos::cluster {
namespace {

constexpr std::string_view kMagic = "PHAROSIM";
constexpr size_t kHeaderOctets = 16;  // Magic, version, nothing.
constexpr size_t kBlockHeaderOctets = 8;
// In the place of a block's length: the end, whose "CRC" is the number of blocks.
constexpr uint32_t kEnd = 0xffffffff;
constexpr size_t kAlignment = 8;

uint32_t Crc(std::string_view block) {
  return static_cast<uint32_t>(
      crc32_z(0, reinterpret_cast<const uint8_t*>(block.data()), block.size()));
}

std::string Pair(uint32_t first, uint32_t second) {
  uint8_t octets[kBlockHeaderOctets];
  StoreU32(octets, first);
  StoreU32(octets + 4, second);
  return {reinterpret_cast<const char*>(octets), sizeof(octets)};
}

}  // namespace

ImageFileWriter::ImageFileWriter() {
  parts_.push_back(std::string(kMagic) + Pair(kImageVersion, 0));
  octets_ = kHeaderOctets;
}

void ImageFileWriter::Add(std::string block) {
  CHECK(block.size() <= kImageBlockOctetsMax);
  parts_.push_back(Pair(static_cast<uint32_t>(block.size()), Crc(block)));
  octets_ += kBlockHeaderOctets + block.size();
  parts_.push_back(std::move(block));
  ++count_;
}

std::vector<std::string> ImageFileWriter::Finish() {
  std::string end = Pair(kEnd, count_);
  octets_ += end.size();
  end.append((kAlignment - octets_ % kAlignment) % kAlignment, '\0');
  parts_.push_back(std::move(end));
  return std::move(parts_);
}

absl::Status ReadImageFile(Octets file, const std::function<absl::Status(std::string_view)>& take) {
  if (file.size() < kHeaderOctets || AsText(file.first(kMagic.size())) != kMagic) {
    return absl::FailedPreconditionError("this is no catalog image of Pharos");
  }
  const uint32_t version = LoadU32(&file[kMagic.size()]);
  if (version != kImageVersion) {
    return absl::FailedPreconditionError(
        absl::StrFormat("the catalog image has format version %d; this version of Pharos reads up "
                        "to %d: upgrade it",
                        version, kImageVersion));
  }
  size_t offset = kHeaderOctets;
  uint32_t count = 0;
  while (file.size() - offset >= kBlockHeaderOctets) {
    const uint32_t octets = LoadU32(&file[offset]);
    const uint32_t check = LoadU32(&file[offset + 4]);
    offset += kBlockHeaderOctets;
    if (octets == kEnd) {
      if (check != count) {
        return absl::DataLossError(
            absl::StrFormat("the catalog image has %d blocks; its end says %d", count, check));
      }
      if (file.size() - offset >= kAlignment) {
        return absl::DataLossError("the catalog image has something behind its end");
      }
      return absl::OkStatus();
    }
    if (octets > kImageBlockOctetsMax || octets > file.size() - offset) {
      return absl::DataLossError(absl::StrFormat(
          "block %d of the catalog image is cut short or its length is damaged", count));
    }
    const std::string_view block = AsText(file.subspan(offset, octets));
    if (Crc(block) != check) {
      return absl::DataLossError(absl::StrFormat(
          "block %d of the catalog image is damaged: its checksum is wrong", count));
    }
    RETURN_IF_ERROR(take(block));
    offset += octets;
    ++count;
  }
  return absl::DataLossError("the catalog image is cut short");
}

}  // namespace pharos::cluster
