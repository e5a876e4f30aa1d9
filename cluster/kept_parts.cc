#include "cluster/kept_parts.h"

#include <utility>

#include "base/status_macros.h"
#include "cluster/image_file.h"

namespace pharos::cluster {

std::string EncodeKeptParts(const std::vector<ToldPart>& parts) {
  ImageFileWriter writer;
  for (const ToldPart& part : parts) {
    peer::v1::KeptPart kept;
    kept.set_datacenter(part.datacenter);
    kept.set_topic(part.topic);
    kept.set_fresh_unix_ms(part.fresh_unix_ms);
    kept.set_response(*part.response);
    writer.Add(kept.SerializeAsString());
  }
  std::string file;
  for (const std::string& octets : writer.Finish()) file += octets;
  return file;
}

absl::StatusOr<std::vector<peer::v1::KeptPart>> DecodeKeptParts(Octets file) {
  std::vector<peer::v1::KeptPart> parts;
  RETURN_IF_ERROR(ReadImageFile(file, [&parts](std::string_view block) {
    if (!parts.emplace_back().ParseFromArray(block.data(), static_cast<int>(block.size()))) {
      return absl::DataLossError("a part of a catalog cannot be read");
    }
    return absl::OkStatus();
  }));
  return parts;
}

}  // namespace pharos::cluster
