#include "cluster/on_demand_catalog.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "cluster/topics.h"

namespace pharos::cluster {
namespace {

// Of which every change would have to be told.
bool IsOfTheWhole(const std::string& topic) {
  return topic == NodesTopic() || topic == ServicesTopic() || topic == ChecksTopic() ||
         topic == IngressTopic();
}

// Of several parts, how it went with all.
struct Gathering {
  std::mutex mutex;
  size_t missing;
  absl::Status first_error;
  CatalogAccess::StatusDone done;
};

}  // namespace

OnDemandCatalog::OnDemandCatalog(std::string datacenter, std::unique_ptr<Replica> replica,
                                 std::shared_ptr<RemoteCatalog> parts)
    : datacenter_(std::move(datacenter)), replica_(std::move(replica)), parts_(std::move(parts)) {
  replica_->SetApplyHere(
      [parts = parts_](const catalog::v1::Command& command) { parts->ApplyHere(command); });
}

OnDemandCatalog::~OnDemandCatalog() { replica_->SetApplyHere(nullptr); }

void OnDemandCatalog::Propose(catalog::v1::Command command, Done done) {
  replica_->Propose(std::move(command), std::move(done));
}

void OnDemandCatalog::WhenReadable(ReadMode mode, StatusDone done) {
  replica_->WhenReadable(mode, std::move(done));
}

void OnDemandCatalog::TakeBackup(std::function<void(absl::StatusOr<Backup>)> done) {
  replica_->TakeBackup(std::move(done));
}

void OnDemandCatalog::RestoreBackup(std::string image, StatusDone done) {
  replica_->RestoreBackup(std::move(image), std::move(done));
}

void OnDemandCatalog::SetAutopilot(const AutopilotOptions& options,
                                   std::optional<uint64_t> check_index, StatusDone done) {
  replica_->SetAutopilot(options, check_index, std::move(done));
}

void OnDemandCatalog::WithStatus(View view, std::function<void(ConsensusStatus)> done) {
  replica_->WithStatus(view, std::move(done));
}

void OnDemandCatalog::ChangeMembership(peer::v1::MembershipRequest request, StatusDone done) {
  replica_->ChangeMembership(std::move(request), std::move(done));
}

void OnDemandCatalog::Have(const std::vector<std::string>& topics, StatusDone done) {
  if (std::any_of(topics.begin(), topics.end(), IsOfTheWhole)) {
    return done(absl::FailedPreconditionError(
        "this agent keeps only the services that it is asked for (catalog_replica is "
        "\"on-demand\"); ask a server for what concerns all"));
  }
  {
    const Published<registry::RemoteCatalogs>::ReadGuard catalogs(parts_->published());
    const auto* const own = catalogs->Find(datacenter_);
    const auto is_there = [&](const std::string& topic) {
      const auto part = own->parts->find(topic);
      if (part == own->parts->end()) return false;
      part->second->used_unix_s = parts_->now_unix_s();
      return true;
    };
    const bool there = own != nullptr && own->parts != nullptr &&
                       std::all_of(topics.begin(), topics.end(), is_there);
    if (there || topics.empty()) return done(absl::OkStatus());
  }
  auto gathering = std::make_shared<Gathering>();
  gathering->missing = topics.size();
  gathering->done = std::move(done);
  for (const std::string& topic : topics) {
    parts_->Want(datacenter_, topic, [gathering](const absl::Status& status) {
      {
        const std::lock_guard lock(gathering->mutex);
        gathering->first_error.Update(status);
        if (--gathering->missing > 0) return;
      }
      gathering->done(gathering->first_error);
    });
  }
}

std::shared_ptr<void> OnDemandCatalog::Hold(const std::vector<std::string>& topics) {
  auto held = std::make_shared<std::vector<std::unique_ptr<PartWatcher>>>();
  for (const std::string& topic : topics) {
    if (!IsOfTheWhole(topic)) held->push_back(parts_->Watch(datacenter_, topic, [] {}));
  }
  return held;
}

}  // namespace pharos::cluster
