// What a server does for the agents that are none (CatalogServer in proto/peer.proto), on gRPC's
// threads.
#pragma once

#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "cluster/catalog_stream.h"
#include "cluster/part_watcher.h"
#include "proto/peer.pb.h"

namespace grpc {
class Service;
}

namespace pharos::cluster {

class CatalogEvents {
 public:
  virtual ~CatalogEvents() = default;
  // Each calls `done` once, on any thread.
  virtual void OnClientWrite(peer::v1::WriteRequest request,
                             std::function<void(peer::v1::WriteResult)> done) = 0;
  virtual void OnClientRead(bool consistent,
                            std::function<void(peer::v1::ReadIndexResult)> done) = 0;
  // What is returned is called when who asked has gone: at most once, on any thread; null: nobody
  // needs to know.
  virtual std::function<void()> OnHttp(
      peer::v1::HttpRequest request,
      std::function<void(absl::StatusOr<peer::v1::HttpResponse>)> done) = 0;
  // `ready` may be called on any thread.
  virtual absl::StatusOr<std::unique_ptr<PartWatcher>> OnWatch(
      const peer::v1::WatchRequest& request, std::function<void()> ready) = 0;
};

// To be added to a gRPC server, which ends before what is borrowed.
std::unique_ptr<grpc::Service> MakeCatalogService(CatalogStream& stream, CatalogEvents& events);

}  // namespace pharos::cluster
