// The single writer's side of the catalog. One thread owns a Catalog; what it makes, everyone reads.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "proto/catalog.pb.h"
#include "registry/snapshot.h"

namespace pharos::registry {

class Catalog {
 public:
  // `datacenter` is where nodes belong that do not say.
  explicit Catalog(std::string datacenter);

  // The only way in. `index` grows with every call. All or nothing: an error (the words of
  // ValidateCommand, or NotFound for a reference to what is not there) leaves the catalog as it was.
  // Deterministic: the same commands at the same indexes give the same catalog everywhere.
  absl::Status Apply(uint64_t index, const catalog::v1::Command& command);

  // The catalog as it now stands. Cost is that of what changed since the last call: shared
  // structure is not copied. The caller publishes it and, once no reader can hold it, destroys it
  // on this thread.
  std::unique_ptr<const Snapshot> MakeSnapshot();
};

}  // namespace pharos::registry
