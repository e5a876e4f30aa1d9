// Someone who is told of a part of a catalog (registry/remote_catalogs.h) whenever it is another.
#pragma once

#include "cluster/change_ring.h"

namespace pharos::cluster {

class PartWatcher {
 public:
  virtual ~PartWatcher() = default;
  // What is new since the last call: a serialized WatchResponse. Null: nothing, and who watches is
  // called once there is. What came in between is left out.
  virtual SharedOctets Next() = 0;
};

}  // namespace pharos::cluster
