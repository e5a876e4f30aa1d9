// What servers send to agents that follow them: responses of the catalog stream, and parts of other
// datacenters' catalogs, also as they are kept on disk. The input is messages, each a kind in one
// octet, a length in two, and so many octets.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "base/octets.h"
#include "cluster/catalog_follower.h"
#include "cluster/kept_parts.h"
#include "proto/peer.pb.h"
#include "registry/partial_catalog.h"

using pharos::LoadU16;

namespace peer = pharos::peer::v1;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  pharos::cluster::CatalogFollower follower("dc1", "node");
  pharos::registry::PartialCatalog plain("dc2", false), translated("dc2", true);
  (void)pharos::cluster::DecodeKeptParts(pharos::Octets(data, size));
  while (size >= 3) {
    const uint8_t kind = data[0];
    const size_t length = std::min<size_t>(LoadU16(data + 1), size - 3);
    const auto octets = static_cast<int>(length);
    if (kind % 2 == 0) {
      peer::FollowResponse response;
      if (response.ParseFromArray(data + 3, octets) && !follower.Take(response).ok()) {
        // Whatever it was, the whole is asked for next.
        CHECK(follower.Begin().index() == 0);
      }
      if (follower.has_unpublished()) follower.Publish();
    } else {
      peer::WatchResponse response;
      if (response.ParseFromArray(data + 3, octets)) {
        const std::string part(1, static_cast<char>('a' + kind % 4));
        plain.Set(part, response.part());
        translated.Set(part, response.part());
        CHECK(plain.MakeSnapshot()->index() > 0);
        CHECK(translated.MakeSnapshot()->index() > 0);
      }
    }
    data += 3 + length;
    size -= 3 + length;
  }
  return 0;
}
