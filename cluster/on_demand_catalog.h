// The catalog as an agent has it that keeps only the parts it is asked for: what is there is read
// from RemoteCatalog, and a Replica without a copy knows the servers and sends them changes. What
// concerns the whole catalog (lists of nodes and services) is not to be had here.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cluster/catalog_access.h"
#include "cluster/remote_catalog.h"
#include "cluster/replica.h"

namespace pharos::cluster {

class OnDemandCatalog : public CatalogAccess {
 public:
  // `replica` is without a copy, and `parts` finds servers by it.
  OnDemandCatalog(std::string datacenter, std::unique_ptr<Replica> replica,
                  std::shared_ptr<RemoteCatalog> parts);
  ~OnDemandCatalog() override;

  // CatalogAccess. A change is visible here soon after it was acknowledged, not before.
  void Propose(catalog::v1::Command command, Done done) override;
  bool IsReadable(ReadMode mode) const override { return replica_->IsReadable(mode); }
  void WhenReadable(ReadMode mode, StatusDone done) override;
  void TakeBackup(std::function<void(absl::StatusOr<Backup>)> done) override;
  void RestoreBackup(std::string image, StatusDone done) override;
  void SetAutopilot(const AutopilotOptions& options, std::optional<uint64_t> check_index,
                    StatusDone done) override;
  int Subscribe(Observer observer) override { return parts_->Subscribe(std::move(observer)); }
  void Unsubscribe(int subscription) override { parts_->Unsubscribe(subscription); }
  void Have(const std::vector<std::string>& topics, StatusDone done) override;
  std::shared_ptr<void> Hold(const std::vector<std::string>& topics) override;
  const ConsensusCounters& counters() const override { return replica_->counters(); }
  const ReplicaCounters* replica_counters() const override { return replica_->replica_counters(); }
  const Published<registry::Snapshot>& published() const override {
    return parts_->own_published();
  }
  bool has_leader() const override { return replica_->has_leader(); }
  bool is_leader() const override { return false; }
  absl::Duration last_contact() const override { return replica_->last_contact(); }
  void WithStatus(View view, std::function<void(ConsensusStatus)> done) override;
  ConsensusStatus status() override { return replica_->status(); }
  void ChangeMembership(peer::v1::MembershipRequest request, StatusDone done) override;

 private:
  const std::string datacenter_;
  const std::unique_ptr<Replica> replica_;
  const std::shared_ptr<RemoteCatalog> parts_;
};

}  // namespace pharos::cluster
