#include "cluster/local_parts.h"

#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "base/status_macros.h"
#include "proto/peer.pb.h"
#include "registry/image.h"
#include "registry/records.h"
#include "registry/remote_catalogs.h"

namespace pharos::cluster {

absl::StatusOr<SharedOctets> MakePart(const registry::Snapshot& snapshot, const std::string& part) {
  peer::v1::WatchResponse response;
  response.set_index(snapshot.index());
  const std::string name = part.empty() ? part : part.substr(1);
  if (part == registry::QueriesPart()) {
    registry::WriteQueriesPart(snapshot, *response.mutable_part());
  } else if (part == registry::IngressPart()) {
    registry::WriteIngressPart(snapshot, *response.mutable_part());
  } else if (!name.empty() && part == registry::ServicePart(name)) {
    registry::WriteServicePart(snapshot, name, *response.mutable_part());
  } else if (!name.empty() && part == registry::ConnectPart(name)) {
    registry::WriteConnectPart(snapshot, name, *response.mutable_part());
  } else if (!name.empty() && part == registry::NodePart(name)) {
    registry::WriteNodePart(snapshot, name, *response.mutable_part());
  } else if (!name.empty() && part == registry::WholeNodePart(name)) {
    registry::WriteWholeNodePart(snapshot, name, *response.mutable_part());
  } else {
    return absl::InvalidArgumentError(absl::StrFormat(
        "\"%s\" is no part of a catalog; expected s, m, n or w and a name, Q, or I", part));
  }
  return std::make_shared<const std::string>(response.SerializeAsString());
}

struct LocalParts::Watcher : PartWatcher {
  ~Watcher() override {
    const std::lock_guard lock(of->mutex_);
    --of->watchers_;
    const auto found = of->parts_.find(part);
    if (found == of->parts_.end()) return;
    found->second.watchers.erase(this);
    if (found->second.watchers.empty()) of->parts_.erase(found);
  }
  SharedOctets Next() override { return of->Next(*this); }

  LocalParts* of = nullptr;
  std::string part;
  std::function<void()> ready;
  uint64_t seen = 0;
};

bool LocalParts::OnChanges(const registry::Changes& changes) {
  const std::lock_guard lock(mutex_);
  if (parts_.empty()) return false;
  const auto change = [this](const std::string& name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const auto found = parts_.find(name);
    if (found == parts_.end()) return;
    ++found->second.version;
    changed_.insert(name);
  };
  for (const std::string& name : changes.service_names) change(registry::ServicePart(name));
  for (const std::string& name : changes.connect_names) change(registry::ConnectPart(name));
  for (const std::string& name : changes.node_names) {
    change(registry::NodePart(name));
    change(registry::WholeNodePart(name));
  }
  if (changes.queries) change(registry::QueriesPart());
  if (changes.ingress) change(registry::IngressPart());
  return !changed_.empty();
}

void LocalParts::Wake() {
  std::vector<std::function<void()>> ready;
  {
    const std::lock_guard lock(mutex_);
    for (const std::string& name : std::exchange(changed_, {})) {
      const auto found = parts_.find(name);
      if (found == parts_.end()) continue;
      for (Watcher* const watcher : found->second.watchers) ready.push_back(watcher->ready);
    }
  }
  for (const auto& each : ready) each();
}

absl::StatusOr<std::unique_ptr<PartWatcher>> LocalParts::Watch(const std::string& part,
                                                               std::function<void()> ready) {
  {
    const Published<registry::Snapshot>::ReadGuard snapshot(published_);
    RETURN_IF_ERROR(MakePart(*snapshot, part).status());
  }
  {
    const std::lock_guard lock(mutex_);
    if (watchers_ >= kWatchersMax) {
      return absl::ResourceExhaustedError("this server is watched by as many as it takes");
    }
    ++watchers_;
  }
  auto watcher = std::make_unique<Watcher>();
  const std::lock_guard lock(mutex_);
  watcher->of = this;
  watcher->part = part;
  watcher->ready = std::move(ready);
  parts_[part].watchers.insert(watcher.get());
  return watcher;
}

SharedOctets LocalParts::Next(Watcher& watcher) {
  const std::lock_guard lock(mutex_);
  Part& part = parts_[watcher.part];
  if (part.version == watcher.seen) return nullptr;
  watcher.seen = part.version;
  if (part.encoded != part.version) {
    const Published<registry::Snapshot>::ReadGuard snapshot(published_);
    part.octets = *MakePart(*snapshot, watcher.part);
    part.encoded = part.version;
  }
  return part.octets;
}

}  // namespace pharos::cluster
