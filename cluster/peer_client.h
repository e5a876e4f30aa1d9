// What this server says to others: for each a stream of messages, snapshots on connections of their
// own, and introductions. gRPC's threads do the work.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "cluster/peer_tls.h"
#include "cluster/raft_buffer.h"
#include "proto/peer.pb.h"

namespace pharos::cluster {

struct PeerClientOptions {
  peer::v1::Server self;
  PeerTls tls;
  // Called on gRPC's threads when what was sent to a server may be lost, and when a connection to
  // it has come to work.
  std::function<void(uint64_t raft_id)> on_lost, on_connected;
};

class PeerClient {
 public:
  // Octets that wait for one server; beyond, messages are dropped, as by a network.
  static constexpr size_t kQueueOctetsMax = size_t{64} << 20;
  static constexpr size_t kSnapshotChunkOctets = size_t{1} << 20;

  static absl::StatusOr<std::unique_ptr<PeerClient>> Make(PeerClientOptions options);
  // Waits until nothing of it runs any more.
  ~PeerClient();

  // All from the raft thread.
  void SetClusterId(const std::string& cluster_id);
  // False: the message was dropped, and never leaves. Else it may be lost on the way, which is told
  // by `on_lost`.
  bool Send(uint64_t to, const std::string& address, peer::v1::Message message);
  // Whether there is a connection that has carried something already. Begins one when there is none
  // and it is time to try again.
  bool Reaches(uint64_t to, const std::string& address);
  // `done` is called on a thread of gRPC's, or at once.
  void SendSnapshot(uint64_t to, const std::string& address, peer::v1::InstallSnapshot info,
                    std::shared_ptr<const RaftBuffer> data, std::function<void()> done);
  // Asks whoever is at the address; `done` on a thread of gRPC's.
  void Introduce(const std::string& address, peer::v1::IntroduceRequest request,
                 std::function<void(absl::StatusOr<peer::v1::IntroduceResponse>)> done);
  // Forgets what has no use any more: servers that are not among `members`.
  void KeepOnly(const std::map<uint64_t, std::string>& members);

  struct Counters {
    uint64_t sent = 0, dropped = 0, connections = 0;
  };
  Counters counters() const;

 private:
  class Pipe;
  struct Shared;
  explicit PeerClient(PeerClientOptions options);
  Pipe& PipeTo(uint64_t to, const std::string& address);

  std::shared_ptr<Shared> shared_;
  std::map<uint64_t, std::shared_ptr<Pipe>> pipes_;
};

}  // namespace pharos::cluster
