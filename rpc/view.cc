#include "rpc/view.h"

#include <algorithm>
#include <utility>

#include "cluster/topics.h"
#include "registry/records.h"

namespace pharos::rpc {
namespace {

constexpr char kServiceTopicLetter = 's';

}  // namespace

::grpc::ByteBuffer Encode(const google::protobuf::MessageLite& message) {
  const ::grpc::Slice slice(message.SerializeAsString());
  return ::grpc::ByteBuffer(&slice, 1);
}

bool View::Refresh(const registry::Snapshot& snapshot, const std::set<std::string>* topics) {
  index_ = std::max<uint64_t>(IndexIn(snapshot), 1);
  std::optional<::grpc::ByteBuffer> step = Update(snapshot, version_ == 0 ? nullptr : topics);
  if (version_ == 0) {
    version_ = 1;
    oldest_index_ = index_;
    return true;
  }
  if (!step) return false;
  steps_octets_ += step->Length();
  steps_.push_back({++version_, index_, *std::move(step)});
  full_.reset();
  while (steps_.size() > kChangesMax || steps_octets_ > kChangesOctetsMax) {
    oldest_index_ = steps_.front().index;
    steps_octets_ -= steps_.front().message.Length();
    steps_.pop_front();
  }
  return true;
}

const ::grpc::ByteBuffer* View::StepFrom(uint64_t version) const {
  if (steps_.empty() || version + 1 < steps_.front().version || version >= version_) return nullptr;
  return &steps_[version + 1 - steps_.front().version].message;
}

std::optional<uint64_t> View::VersionAt(uint64_t index) const {
  if (index < oldest_index_ || index > index_) return std::nullopt;
  uint64_t version = version_;
  for (auto step = steps_.rbegin(); step != steps_.rend() && step->index > index; ++step) {
    --version;
  }
  return version;
}

const ::grpc::ByteBuffer& View::Full(const registry::Snapshot& snapshot) {
  if (!full_) full_ = EncodeFull(snapshot);
  return *full_;
}

::grpc::ByteBuffer View::Unchanged() const { return EncodeUnchanged(); }

std::vector<std::string> InstancesView::Topics() const {
  return {cluster::ServiceTopic(query_.lower_service)};
}

uint64_t InstancesView::IndexIn(const registry::Snapshot& snapshot) const {
  return snapshot.ServiceIndex(query_.lower_service);
}

std::optional<::grpc::ByteBuffer> InstancesView::Update(const registry::Snapshot& snapshot,
                                                        const std::set<std::string>*) {
  discovery::v1::WatchResponse changes;
  std::vector<Seen> now;
  auto old = seen_.begin();
  // Whether `a` comes before the instance, in the order of the catalog.
  const auto before = [](const Seen& a, const registry::Instance& b) {
    if (registry::LessIgnoringCase(a.node, b.node->name)) return true;
    if (registry::LessIgnoringCase(b.node->name, a.node)) return false;
    return registry::LessIgnoringCase(a.id, b.service->id);
  };
  const auto after = [](const Seen& a, const registry::Instance& b) {
    if (registry::LessIgnoringCase(b.node->name, a.node)) return true;
    if (registry::LessIgnoringCase(a.node, b.node->name)) return false;
    return registry::LessIgnoringCase(b.service->id, a.id);
  };
  const auto remove = [&changes](const Seen& gone) {
    discovery::v1::InstanceKey& key = *changes.add_removed();
    key.set_node(gone.node);
    key.set_id(gone.id);
  };
  const std::vector<const registry::Instance*> instances = FindInstances(query_, snapshot);
  now.reserve(instances.size());
  for (const registry::Instance* instance : instances) {
    for (; old != seen_.end() && before(*old, *instance); ++old) remove(*old);
    const bool known = old != seen_.end() && !after(*old, *instance);
    Seen is;
    if (known) {
      is = std::move(*old++);
      const bool same = is.node_index == instance->node->modify_index &&
                        is.service_index == instance->service->modify_index &&
                        is.health == instance->health;
      if (same) {
        now.push_back(std::move(is));
        continue;
      }
      // A key is compared exactly by clients.
      if (is.node != instance->node->name || is.id != instance->service->id) remove(is);
    }
    now.push_back({.node = instance->node->name,
                   .id = instance->service->id.str(),
                   .node_index = instance->node->modify_index,
                   .service_index = instance->service->modify_index,
                   .health = instance->health});
    FillInstance(*instance, *changes.add_changed());
  }
  for (; old != seen_.end(); ++old) remove(*old);
  seen_ = std::move(now);
  if (changes.changed().empty() && changes.removed().empty()) return std::nullopt;
  changes.set_index(index());
  changes.set_epoch(epoch());
  return Encode(changes);
}

::grpc::ByteBuffer InstancesView::EncodeFull(const registry::Snapshot& snapshot) const {
  discovery::v1::WatchResponse full;
  full.set_index(index());
  full.set_epoch(epoch());
  full.set_full(true);
  for (const registry::Instance* instance : FindInstances(query_, snapshot)) {
    FillInstance(*instance, *full.add_changed());
  }
  return Encode(full);
}

::grpc::ByteBuffer InstancesView::EncodeUnchanged() const {
  discovery::v1::WatchResponse unchanged;
  unchanged.set_index(index());
  unchanged.set_epoch(epoch());
  return Encode(unchanged);
}

// What changes an instance is a change of a node, a service or a check.
std::vector<std::string> ServicesView::Topics() const {
  return {cluster::ServicesTopic(), cluster::ChecksTopic(), cluster::NodesTopic()};
}

uint64_t ServicesView::IndexIn(const registry::Snapshot& snapshot) const {
  return std::max({snapshot.services_index(), snapshot.checks_index(), snapshot.nodes_index()});
}

void ServicesView::UpdateOne(const std::string& name, const registry::ServiceEntry* service,
                             discovery::v1::WatchServicesResponse& changes) {
  if (!name.starts_with(lower_prefix_)) return;
  if (service == nullptr) {
    if (seen_.erase(name) > 0) changes.add_removed(name);
    return;
  }
  discovery::v1::ServiceSummary summary;
  FillSummary(*service, summary);
  discovery::v1::ServiceSummary& seen = seen_[name];
  if (seen.SerializeAsString() == summary.SerializeAsString()) return;
  seen = summary;
  *changes.add_changed() = std::move(summary);
}

std::optional<::grpc::ByteBuffer> ServicesView::Update(const registry::Snapshot& snapshot,
                                                       const std::set<std::string>* topics) {
  discovery::v1::WatchServicesResponse changes;
  if (topics != nullptr) {
    for (const std::string& topic : *topics) {
      if (topic.front() != kServiceTopicLetter) continue;
      const std::string name = topic.substr(1);
      UpdateOne(name, snapshot.FindService(name), changes);
    }
  } else {
    std::vector<std::string> gone;
    for (const auto& [name, summary] : seen_) {
      if (snapshot.FindService(name) == nullptr) gone.push_back(name);
    }
    for (const std::string& name : gone) UpdateOne(name, nullptr, changes);
    snapshot.ForEachService(
        [&](const registry::ServiceEntry& service) { UpdateOne(service.name, &service, changes); });
  }
  if (changes.changed().empty() && changes.removed().empty()) return std::nullopt;
  changes.set_index(index());
  changes.set_epoch(epoch());
  return Encode(changes);
}

::grpc::ByteBuffer ServicesView::EncodeFull(const registry::Snapshot&) const {
  discovery::v1::WatchServicesResponse full;
  full.set_index(index());
  full.set_epoch(epoch());
  full.set_full(true);
  for (const auto& [name, summary] : seen_) *full.add_changed() = summary;
  return Encode(full);
}

::grpc::ByteBuffer ServicesView::EncodeUnchanged() const {
  discovery::v1::WatchServicesResponse unchanged;
  unchanged.set_index(index());
  unchanged.set_epoch(epoch());
  return Encode(unchanged);
}

}  // namespace pharos::rpc
