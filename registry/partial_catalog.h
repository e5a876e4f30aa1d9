// Some parts of a datacenter's catalog, each as it was last told, put together as a catalog of
// their own: what an agent knows of a datacenter that it was asked about. One thread, the writer's.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "proto/image.pb.h"
#include "registry/catalog.h"
#include "registry/snapshot.h"

namespace pharos::registry {

class PartialCatalog {
 public:
  // `translate`: nodes and instances are reached at their WAN addresses (`translate_wan_addrs`).
  PartialCatalog(std::string datacenter, bool translate);

  // Puts the records of a part in the place of those that it had before. Records that no catalog
  // takes are left out; says how many those were.
  size_t Set(const std::string& part, const catalog::v1::ImageChunk& records);
  void Remove(const std::string& part);
  // A change of a node and what is on it that is made here alone, until the part of that whole node
  // is told again; false if no catalog takes it.
  bool ApplyHere(const catalog::v1::Command& command);

  // As it now stands; index 1 when it is empty.
  std::unique_ptr<const Snapshot> MakeSnapshot();
  // What changed between the last two calls of that.
  const Changes& changes() const { return catalog_.changes(); }

 private:
  struct Part {
    // Of each node (lower case), which services are this part's, by id.
    std::map<std::string, std::set<std::string>> services;
    std::set<std::string> queries;   // By id.
    std::set<std::string> gateways;  // By name, in lower case.
  };
  bool Apply(const catalog::v1::Command& command);
  void Deregister(const std::string& node, const std::string& service, const std::string& check);
  bool AddNode(catalog::v1::ImageNode node, Part& part);
  // Takes away what the part had and `kept` has not.
  void Prune(const std::string& name, const Part& before, const Part& kept);
  bool HasNode(const std::string& except, const std::string& node) const;
  bool HasService(const std::string& except, const std::string& node,
                  const std::string& service) const;

  const bool translate_;
  Catalog catalog_;
  uint64_t index_ = 1;
  std::map<std::string, Part> parts_;
  // Of each node (lower case), the services of its checks (empty: its own ones), by their ids.
  std::map<std::string, std::map<std::string, std::string>> checks_;
};

}  // namespace pharos::registry
