// The single writer's side of the catalog. One thread owns a Catalog; what it makes, everyone
// reads.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "proto/catalog.pb.h"
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

 private:
  // An instance by its place in a service: node name, then service id, both in lower case.
  using InstanceKey = std::pair<std::string, std::string>;
  // What happened to a service's instances since the last snapshot; null: removed.
  using InstanceChanges = std::map<InstanceKey, Ref<const Instance>>;

  absl::Status ApplyOne(uint64_t index, const catalog::v1::Command& command);
  absl::Status Register(uint64_t index, const catalog::v1::Register& change);
  void Deregister(const catalog::v1::Deregister& change);

  // Puts the entry in place of the one before (null: none) and brings all that depends on it up to
  // date: instances of services, addresses.
  void Replace(const NodeEntry* before, Ref<const NodeEntry> after);
  void UpdateInstances(const NodeEntry* before, const NodeEntry* after);
  // Keeps the index of addresses true for a node or a service that changes (null: is not there).
  template <typename T>
  void UpdateAddress(std::vector<Ref<const T>> AddressEntry::*list, const T* before,
                     const Ref<const T>* after);
  void FinishService(const std::string& name, const InstanceChanges& changes);
  // Keeps the index of tags true for a service that changes (null: is not there).
  void UpdateTags(const ServiceEntry* before, const ServiceEntry* after);

  Snapshot head_;
  bool changed_ = false;  // Whether the command being applied has changed anything so far.
  // By service name in lower case. Bounded by what one batch of commands touches.
  std::map<std::string, InstanceChanges> changed_services_;
};

}  // namespace pharos::registry
