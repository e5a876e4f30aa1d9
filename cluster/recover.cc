#include "cluster/recover.h"

#include <latch>
#include <memory>

#include "absl/strings/str_format.h"
#include "base/check.h"
#include "base/loop.h"
#include "base/status_macros.h"
#include "cluster/data_directory.h"
#include "cluster/no_raft_host.h"
#include "cluster/raft_disk.h"
#include "cluster/raft_engine.h"
#include "cluster/raft_node.h"

namespace pharos::cluster {

absl::StatusOr<std::string> RecoverAlone(const std::string& data_dir, const std::string& node_id,
                                         const std::string& node_name) {
  ASSIGN_OR_RETURN(const std::unique_ptr<DataDirectory> directory,
                   DataDirectory::Open(data_dir, node_id));
  if (directory->cluster_id().empty()) {
    return absl::FailedPreconditionError(
        absl::StrFormat("%s was never part of a cluster: there is nothing to recover", data_dir));
  }
  // As it called itself when it ran last.
  peer::v1::Server self;
  self.set_raft_id(directory->raft_id());
  self.set_node_id(node_id);
  self.set_name(node_name);
  for (const peer::v1::Server& known : directory->LoadPeers()) {
    if (known.raft_id() == directory->raft_id()) self = known;
  }
  Loop loop("raft");
  absl::Status recovered;
  std::unique_ptr<RaftDisk> disk;
  std::unique_ptr<RaftEngine> engine;
  NoRaftHost host;  // An engine that is never started needs no surroundings.
  std::latch closed(1);
  loop.PostAndWait([&] {
    auto opened = OpenUvRaftDisk(loop.uv(), directory->log_path(), [](const std::string&) {
      CHECK(false);  // Nothing is appended.
    });
    recovered = opened.status();
    if (!recovered.ok()) return closed.count_down();
    disk = *std::move(opened);
    const std::string address = EncodeServerAddress(self);
    engine = std::make_unique<RaftEngine>(
        RaftEngineOptions{.id = directory->raft_id(), .address = address}, *disk, host);
    recovered = engine->Recover(
        {{.id = directory->raft_id(), .address = address, .role = RaftRole::kVoter}});
    engine->Close([&closed] { closed.count_down(); });
  });
  closed.wait();
  loop.Stop();
  engine.reset();
  RETURN_IF_ERROR(recovered);
  return absl::StrFormat("%s is the only server of its cluster now",
                         self.name().empty() ? "This server" : self.name());
}

}  // namespace pharos::cluster
