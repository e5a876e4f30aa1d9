// A set that watchers follow (the instances of a service, or the services), with the last changes
// of it. However many follow it, each change and the full set are encoded once.
#pragma once

#include <grpcpp/support/byte_buffer.h>

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "proto/discovery.pb.h"
#include "registry/snapshot.h"
#include "rpc/instances.h"

namespace pharos::rpc {

// On the thread `grpc`.
class View {
 public:
  // Changes that are kept for those who are behind.
  static constexpr size_t kChangesMax = 256;
  static constexpr size_t kChangesOctetsMax = size_t{1} << 20;

  explicit View(uint64_t epoch) : epoch_(epoch) {}
  virtual ~View() = default;

  // What a change must concern to change the set.
  virtual std::vector<std::string> Topics() const = 0;

  // Brings the view up to the snapshot; `topics` are those of what was published since it last was,
  // null when they are not known. Returns whether a new version was made.
  bool Refresh(const registry::Snapshot& snapshot, const std::set<std::string>* topics);

  // Counts the changes of the set, from 1.
  uint64_t version() const { return version_; }
  // The step from a version to the next; null where it is not kept any more.
  const ::grpc::ByteBuffer* StepFrom(uint64_t version) const;
  // The version that a client has who was told `index`; nullopt where that is not known any more.
  std::optional<uint64_t> VersionAt(uint64_t index) const;
  // The whole set at this version. `snapshot` is the one of the last Refresh where FullIsRead.
  const ::grpc::ByteBuffer& Full(const registry::Snapshot& snapshot);
  // Whether the full set is read from the snapshot, not from what the view holds itself.
  virtual bool FullIsRead() const = 0;
  // Nothing has changed: for a client that resumes.
  ::grpc::ByteBuffer Unchanged() const;

 protected:
  // Finds what changed and encodes it; nullopt where nothing did.
  virtual std::optional<::grpc::ByteBuffer> Update(const registry::Snapshot& snapshot,
                                                   const std::set<std::string>* topics) = 0;
  virtual ::grpc::ByteBuffer EncodeFull(const registry::Snapshot& snapshot) const = 0;
  virtual ::grpc::ByteBuffer EncodeUnchanged() const = 0;
  // Of the set's last change.
  virtual uint64_t IndexIn(const registry::Snapshot& snapshot) const = 0;

  uint64_t index() const { return index_; }
  uint64_t epoch() const { return epoch_; }

 private:
  struct Step {
    uint64_t version;  // That it leads to.
    uint64_t index;    // Of that.
    ::grpc::ByteBuffer message;
  };

  const uint64_t epoch_;
  uint64_t version_ = 0;
  uint64_t index_ = 0;
  uint64_t oldest_index_ = 0;  // Of the version that the first step leads from.
  std::deque<Step> steps_;
  size_t steps_octets_ = 0;
  std::optional<::grpc::ByteBuffer> full_;
};

class InstancesView final : public View {
 public:
  InstancesView(uint64_t epoch, InstanceQuery query) : View(epoch), query_(std::move(query)) {}
  std::vector<std::string> Topics() const override;
  bool FullIsRead() const override { return true; }

 protected:
  std::optional<::grpc::ByteBuffer> Update(const registry::Snapshot& snapshot,
                                           const std::set<std::string>* topics) override;
  ::grpc::ByteBuffer EncodeFull(const registry::Snapshot& snapshot) const override;
  ::grpc::ByteBuffer EncodeUnchanged() const override;
  uint64_t IndexIn(const registry::Snapshot& snapshot) const override;

 private:
  // Everything that Instance shows is in its node, its service and its health.
  struct Seen {
    std::string node, id;
    uint64_t node_index = 0, service_index = 0;
    registry::Health health = registry::Health::kPassing;
  };

  const InstanceQuery query_;
  std::vector<Seen> seen_;  // In the order of FindInstances.
};

class ServicesView final : public View {
 public:
  ServicesView(uint64_t epoch, std::string lower_prefix)
      : View(epoch), lower_prefix_(std::move(lower_prefix)) {}
  std::vector<std::string> Topics() const override;
  bool FullIsRead() const override { return false; }

 protected:
  std::optional<::grpc::ByteBuffer> Update(const registry::Snapshot& snapshot,
                                           const std::set<std::string>* topics) override;
  ::grpc::ByteBuffer EncodeFull(const registry::Snapshot& snapshot) const override;
  ::grpc::ByteBuffer EncodeUnchanged() const override;
  uint64_t IndexIn(const registry::Snapshot& snapshot) const override;

 private:
  void UpdateOne(const std::string& name, const registry::ServiceEntry* service,
                 discovery::v1::WatchServicesResponse& changes);

  const std::string lower_prefix_;
  std::map<std::string, discovery::v1::ServiceSummary> seen_;
};

// One message as it goes over the wire, to be sent any number of times.
::grpc::ByteBuffer Encode(const google::protobuf::MessageLite& message);

}  // namespace pharos::rpc
