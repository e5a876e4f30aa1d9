// The whole catalog as a stream of chunks (proto/image.proto), and a catalog from them again, with
// every index as it was: what Raft snapshots, new servers and backups are made of.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/image.pb.h"
#include "registry/catalog.h"
#include "registry/snapshot.h"

namespace pharos::registry {

// About so many octets of records make a chunk; one record may be longer.
inline constexpr size_t kImageChunkOctets = size_t{1} << 20;

// Calls `take` with each serialized ImageChunk in turn. On any thread, under a guard or a pin.
void WriteImage(const Snapshot& snapshot, const std::function<void(std::string)>& take);

// The records of a part of the catalog, without those of indexes: the instances of a service (also
// of what stands for it in a mesh), each with its node, the node's checks and its own; one node
// with its checks, or with all it has; all prepared queries; all ingress gateways, without their
// instances. Under a guard or a pin.
void WriteServicePart(const Snapshot& snapshot, std::string_view lower_name,
                      catalog::v1::ImageChunk& part);
void WriteConnectPart(const Snapshot& snapshot, std::string_view lower_name,
                      catalog::v1::ImageChunk& part);
void WriteNodePart(const Snapshot& snapshot, std::string_view lower_name,
                   catalog::v1::ImageChunk& part);
void WriteWholeNodePart(const Snapshot& snapshot, std::string_view lower_name,
                        catalog::v1::ImageChunk& part);
void WriteQueriesPart(const Snapshot& snapshot, catalog::v1::ImageChunk& part);
void WriteIngressPart(const Snapshot& snapshot, catalog::v1::ImageChunk& part);

// Builds a catalog from the chunks of an image. One thread, the writer's.
class ImageReader {
 public:
  // No index of a record will be above `index_max`: a backup that is restored at that index may
  // come from a cluster whose indexes were higher.
  explicit ImageReader(uint64_t index_max = UINT64_MAX);
  ~ImageReader();

  // The next chunk. DataLoss for what is no chunk of an image, or holds a record that no catalog
  // could have.
  absl::Status Add(std::string_view chunk);
  // The catalog, once all chunks were added; DataLoss when some are missing.
  absl::StatusOr<std::unique_ptr<Catalog>> Finish();
  const catalog::v1::ImageHeader& header() const { return header_; }

 private:
  absl::Status AddRecord(catalog::v1::ImageRecord& record);

  const uint64_t index_max_;
  std::unique_ptr<Catalog> catalog_;
  catalog::v1::ImageHeader header_;
  bool has_header_ = false;
  uint64_t nodes_ = 0, queries_ = 0, gateways_ = 0;
};

}  // namespace pharos::registry
