// Parts of catalogs as they are kept on disk: blocks of an image file (cluster/image_file.h), so
// that damage is noticed. Pure functions of octets.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/octets.h"
#include "cluster/change_ring.h"
#include "proto/peer.pb.h"

namespace pharos::cluster {

// A part as it was told (a serialized WatchResponse), and when that was last known to be so.
struct ToldPart {
  std::string datacenter, topic;
  int64_t fresh_unix_ms = 0;
  SharedOctets response;
};

std::string EncodeKeptParts(const std::vector<ToldPart>& parts);
// DataLoss for what is no such file or a damaged one.
absl::StatusOr<std::vector<peer::v1::KeptPart>> DecodeKeptParts(Octets file);

}  // namespace pharos::cluster
