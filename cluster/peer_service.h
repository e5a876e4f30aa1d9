// What other servers say to this one (proto/peer.proto), on gRPC's threads.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cluster/catalog_service.h"
#include "cluster/catalog_stream.h"
#include "cluster/peer_tls.h"
#include "cluster/raft_buffer.h"
#include "proto/peer.pb.h"

namespace pharos::cluster {

// Who is told; all calls are on gRPC's threads, and return soon.
class PeerEvents {
 public:
  virtual ~PeerEvents() = default;
  // May this server be listened to? Says why not.
  virtual absl::Status OnPeer(const peer::v1::Server& from, uint64_t to,
                              const std::string& cluster_id) = 0;
  virtual void OnMessages(uint64_t from, peer::v1::Envelope envelope) = 0;
  // `done` is called once the snapshot was handed over, or was not.
  virtual void OnSnapshot(uint64_t from, peer::v1::InstallSnapshot info, RaftBuffer data,
                          std::function<void(absl::Status)> done) = 0;
  virtual void OnIntroduce(peer::v1::IntroduceRequest request,
                           std::function<void(peer::v1::IntroduceResponse)> done) = 0;
};

class PeerService {
 public:
  // More than this is no catalog.
  static constexpr uint64_t kSnapshotOctetsMax = uint64_t{16} << 30;

  // Listens on `address` (IP:PORT). What follows `tls` is borrowed.
  static absl::StatusOr<std::unique_ptr<PeerService>> Start(const std::string& address,
                                                            const PeerTls& tls, PeerEvents& events,
                                                            CatalogStream& stream,
                                                            CatalogEvents& catalog_events);
  // Ends all calls.
  virtual ~PeerService() = default;
  virtual int port() const = 0;
};

}  // namespace pharos::cluster
