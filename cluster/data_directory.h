// What a server keeps in `data_dir`/raft beside libraft's own files: who it is, of which cluster,
// and in which form; and a lock, as libraft takes none and two processes would ruin the log.
//
//   LOCK          held while a process uses the directory
//   server.json   {"format": 1, "raft_id": "…", "cluster_id": "…", "node_id": "…",
//                 "reached_index": "…"}
//   peers.json    the servers it knew last, so that it finds them again
//   log/          libraft's log, metadata and snapshots
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/peer.pb.h"

namespace pharos::cluster {

class DataDirectory {
 public:
  // Opens, or makes, `data_dir`/raft. FailedPrecondition when another process has it, when it is of
  // another program or of a newer version; DataLoss when it is damaged. Each message says the way
  // out.
  static absl::StatusOr<std::unique_ptr<DataDirectory>> Open(const std::string& data_dir,
                                                             const std::string& node_id);
  ~DataDirectory();
  DataDirectory(const DataDirectory&) = delete;
  DataDirectory& operator=(const DataDirectory&) = delete;

  uint64_t raft_id() const { return raft_id_; }
  const std::string& cluster_id() const { return cluster_id_; }
  std::string log_path() const { return path_ + "/log"; }
  const std::string& path() const { return path_; }

  // Keeps the cluster's id for good. FailedPrecondition when there is another.
  absl::Status SetClusterId(const std::string& cluster_id);
  // The log reached this index once; if it ends before, something of it is gone.
  uint64_t reached_index() const { return reached_index_; }
  absl::Status SetReachedIndex(uint64_t index);
  // Those kept last; none when there are none, or they cannot be read.
  std::vector<peer::v1::Server> LoadPeers() const;
  absl::Status SavePeers(const std::vector<peer::v1::Server>& peers);

 private:
  DataDirectory(std::string path, std::string node_id)
      : path_(std::move(path)), node_id_(std::move(node_id)) {}
  absl::Status Lock();
  absl::Status Load();
  absl::Status Save() const;

  const std::string path_;
  const std::string node_id_;
  int lock_ = -1;
  uint64_t raft_id_ = 0;
  std::string cluster_id_;
  uint64_t reached_index_ = 0;
};

}  // namespace pharos::cluster
