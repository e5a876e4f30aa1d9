// The single writer's side of the catalog. One thread owns a Catalog; what it makes, everyone
// reads.
#pragma once

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "proto/catalog.pb.h"
#include "proto/image.pb.h"
#include "registry/changes.h"
#include "registry/instance_changes.h"
#include "registry/snapshot.h"

namespace pharos::registry {

class Catalog {
 public:
  // `datacenter` is where nodes belong that do not say.
  explicit Catalog(std::string datacenter);

  // The only way in. `index` grows with every call. All or nothing: an error (the words of
  // ValidateCommand, or NotFound for a reference to what is not there) leaves the catalog as it
  // was. Deterministic: the same commands at the same indexes give the same catalog everywhere.
  absl::Status Apply(uint64_t index, const catalog::v1::Command& command);

  // The catalog as it now stands. Cost is that of what changed since the last call: shared
  // structure is not copied. The caller publishes it and, once no reader can hold it, destroys it
  // on this thread.
  std::unique_ptr<const Snapshot> MakeSnapshot();
  // What changed between the last two calls of MakeSnapshot.
  const Changes& changes() const { return changes_; }

  // Takes over what an image says (registry/image.h), each record once and at its own index. The
  // name of a service's index goes to the service of that name, if it has instances.
  absl::Status AddFromImage(const catalog::v1::ImageNode& node);
  absl::Status AddFromImage(const catalog::v1::ImageQuery& query);
  absl::Status AddFromImage(const catalog::v1::ImageGateway& gateway);
  void AddFromImage(const catalog::v1::ImageServiceIndex& index);
  // After all records: the indexes of the whole. What was added is part of the next snapshot.
  void FinishImage(const catalog::v1::ImageHeader& header);

  // Every index of the whole and of its services becomes `index`: all of it changed there.
  void MoveTo(uint64_t index);
  // Makes the changes up to the next snapshot those from another catalog to this one, which takes
  // its place.
  void Supersede(const Snapshot& before);

 private:
  // What happened to a service since the last snapshot.
  struct ServiceChange {
    InstanceChanges instances;
    uint64_t index = 0;  // Of its last change.
  };
  // Which of a node's services a command may have changed: so that a node with very many costs no
  // more than what is changed.
  struct Touched {
    std::set<std::string> service_ids;  // In lower case.
    bool all = false;                   // The node itself, or a check of it.
  };
  // What is to be seen by the next snapshot. Bounded by what one batch of commands touches.
  using ServiceChanges = absl::flat_hash_map<std::string, ServiceChange>;  // By lower-case name.
  struct Unpublished {
    ServiceChanges services;
    ServiceChanges connect;
    absl::flat_hash_set<std::string> nodes;  // Names in lower case.
    // How many addresses more, or fewer, are in each network (registry/network_key.h).
    absl::flat_hash_map<std::string, int> networks;
  };

  absl::Status ApplyOne(uint64_t index, const catalog::v1::Command& command);
  absl::Status Register(uint64_t index, const catalog::v1::Register& change);
  void Deregister(uint64_t index, const catalog::v1::Deregister& change);
  absl::Status SetQuery(uint64_t index, const catalog::v1::SetPreparedQuery& change);
  absl::Status DeleteQuery(uint64_t index, const std::string& id);
  // Takes the query (null: none) out of what finds it by name, or puts it in.
  void IndexQuery(const PreparedQuery* query, const Ref<const PreparedQuery>* after);
  void SetIngress(uint64_t index, const catalog::v1::IngressGateway& gateway);
  void DeleteIngress(uint64_t index, const std::string& name);

  // Puts the entry in place of the one before (null: none) and brings all that depends on it up to
  // date: instances of services, addresses, indexes.
  void Replace(uint64_t index, const NodeEntry* before, std::unique_ptr<NodeEntry> after,
               const Touched& touched);
  void UpdateIndexes(uint64_t index, const NodeEntry* before, const NodeEntry* after);
  void UpdateInstances(uint64_t index, const NodeEntry* before, const NodeEntry* after,
                       const Touched& touched);
  // Asks the processor for what an update of these services reads, so that the waits for memory
  // overlap.
  void Prefetch(const std::vector<Ref<const Service>>& services) const;
  // The same for one of a node's services (null: is not there): `instance` is what it now is, null
  // when what a check says of it has changed but not what that means.
  void UpdateInstance(uint64_t index, const Ref<const Node>& node, const Ref<const Service>* was,
                      const Ref<const Service>* is, const Ref<const Instance>& instance);
  // Keeps the index of addresses true for a node or a service that changes (null: is not there).
  template <typename T>
  void UpdateAddress(const T* before, const Ref<const T>* after);
  // The entry with what changed merged into it, null when nothing is left. `before` may be null.
  std::unique_ptr<ServiceEntry> Merge(const std::string& name, const ServiceEntry* before,
                                      const std::vector<InstanceChange>& changes);
  // The same where nothing but the health of instances has changed; else null.
  std::unique_ptr<ServiceEntry> MergeHealth(const ServiceEntry& before,
                                            const std::vector<InstanceChange>& changes);
  void FinishService(const std::string& name, ServiceChange& change);
  void FinishConnect(const std::string& name, ServiceChange& change);
  // Keeps the index of tags true for a service that changes (null: is not there).
  void UpdateTags(const ServiceEntry* before, const ServiceEntry* after);

  SelectionPool selections_;
  Snapshot head_;
  bool changed_ = false;  // Whether the command being applied has changed anything so far.
  Unpublished unpublished_;
  Changes changes_;
  // What differs from the catalog before this one, which no index tells.
  bool superseded_ = false;
};

}  // namespace pharos::registry
