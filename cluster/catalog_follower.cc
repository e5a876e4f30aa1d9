#include "cluster/catalog_follower.h"

#include <utility>

#include "absl/strings/str_format.h"
#include "base/status_macros.h"

namespace pharos::cluster {

CatalogFollower::CatalogFollower(std::string datacenter, std::string node)
    : datacenter_(std::move(datacenter)), node_(std::move(node)), state_(datacenter_) {}

peer::v1::FollowRequest CatalogFollower::Begin() {
  std::string().swap(image_);
  peer::v1::FollowRequest request;
  request.set_datacenter(datacenter_);
  request.set_node(node_);
  if (!has_catalog_) return request;
  request.set_cluster_id(state_.cluster_id());
  request.set_at_least(state_.last_index());
  if (!changed_here_ && !broken_) request.set_index(state_.last_index());
  return request;
}

absl::Status CatalogFollower::Take(const peer::v1::FollowResponse& response) {
  absl::Status taken = TakeParts(response);
  for (const peer::v1::Change& change : response.changes()) {
    if (taken.ok()) taken = TakeChange(change);
  }
  broken_ = !taken.ok();
  if (response.has_pulse()) pulse_ = response.pulse();
  return taken;
}

absl::Status CatalogFollower::TakeParts(const peer::v1::FollowResponse& response) {
  for (const peer::v1::ImagePart& part : response.image()) {
    if (part.first()) image_.clear();
    if (image_.size() + part.data().size() > kImageOctetsMax) {
      return absl::DataLossError(absl::StrFormat(
          "the server sends a catalog of more than %d octets; that cannot be", kImageOctetsMax));
    }
    image_ += part.data();
    counters_.octets += part.data().size();
    if (!part.last()) continue;
    const std::string image = std::exchange(image_, {});
    RETURN_IF_ERROR(state_.Restore(AsOctets(image)));
    ++counters_.images;
    has_catalog_ = true;
    changed_here_ = broken_ = false;
  }
  return absl::OkStatus();
}

absl::Status CatalogFollower::TakeChange(const peer::v1::Change& change) {
  if (!has_catalog_ || changed_here_ || broken_) {
    return absl::DataLossError("the server sends changes of a catalog that it has not sent");
  }
  if (change.index() <= state_.last_index()) return absl::OkStatus();
  counters_.octets += change.entry().size();
  ASSIGN_OR_RETURN(const log::v1::Entry entry, DecodeEntry(AsOctets(change.entry())));
  // What a command comes to is who proposed it told, and nothing to us.
  RETURN_IF_ERROR(state_.Apply(change.index(), entry).status());
  ++counters_.changes;
  return absl::OkStatus();
}

absl::Status CatalogFollower::Load(Octets image) {
  RETURN_IF_ERROR(state_.Restore(image));
  has_catalog_ = true;
  return absl::OkStatus();
}

absl::Status CatalogFollower::ApplyHere(const catalog::v1::Command& command) {
  if (!has_catalog_) return absl::FailedPreconditionError("there is no catalog yet");
  log::v1::Entry entry;
  *entry.add_commands() = command;
  // At the index of the last entry: those behind it are the servers' to give.
  ASSIGN_OR_RETURN(const std::vector<absl::Status> outcomes,
                   state_.Apply(state_.last_index(), entry));
  if (outcomes.front().ok()) changed_here_ = true;
  return outcomes.front();
}

}  // namespace pharos::cluster
