// The catalog as readers see it: one immutable value at one index. Any thread may read it while it
// holds the ReadGuard or Pin it was reached by (base/published.h); nothing in it ever changes.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip_address.h"
#include "proto/catalog.pb.h"
#include "registry/address_index.h"
#include "registry/instances.h"
#include "registry/persistent_map.h"
#include "registry/prepared_query.h"
#include "registry/ready_records.h"
#include "registry/selection.h"
#include "registry/types.h"

namespace pharos::registry {

// The ready-made records of a service, or of its instances with one tag.
struct RecordSet {
  Selection everyone;  // Every instance.
  Selection a;         // One instance per different IPv4 address that A questions see.
  Selection aaaa;      // The same for AAAA and IPv6.
  Selection any;       // The same for ANY: one per different for_any address (IPv4 or IPv6).
  Selection srv;       // One per different SRV target and port.
  Selection names;     // Every instance with a host name for a type (DnsAddresses::name_wire).
};

// All instances of the services that share a name without regard to case.
struct ServiceEntry : RefCounted {
  // What most questions need comes first, so that it is on one cache line.
  RecordSet all;
  Ref<const ReadyRecords> ready;
  std::string name;            // Lower case: the key.
  InstanceSequence instances;  // By node name, then service id; critical ones too.
  // Sorted by tag, lower case; each tag once.
  std::vector<std::pair<std::string, RecordSet>> by_tag;

  // The records with `tag` (lower case), or null when no instance has it.
  const RecordSet* FindTag(std::string_view tag) const;
};

// A service with the index of its last change: of an instance, of its checks, or of its node.
struct ServiceSlot {
  Ref<const ServiceEntry> entry;
  uint64_t modify_index = 0;
};

// A node with all that is registered on it.
struct NodeEntry : RefCounted {
  Ref<const Node> node;
  uint64_t modify_index = 0;                   // Of the last change of anything in it.
  std::vector<Ref<const Service>> services;    // By id, compared in lower case.
  std::vector<Ref<const HealthCheck>> checks;  // By id.
};

// The ingress gateways of a mesh, by the names of their services in lower case.
struct IngressTable : RefCounted {
  struct Gateway {
    catalog::v1::IngressGateway definition;
    uint64_t create_index = 0;
    uint64_t modify_index = 0;
  };
  std::map<std::string, Gateway, std::less<>> gateways;
  // Which of them let a service (in lower case; `*`: every one) in.
  std::map<std::string, std::vector<std::string>, std::less<>> by_service;
};

class Snapshot {
  using ServiceMap = PersistentMap<std::string, ServiceSlot>;

 public:
  // The catalog index of the last command this holds.
  uint64_t index() const { return index_; }
  // When the newest change in it was proposed, Unix seconds; 0 while the catalog is empty.
  int64_t changed_unix_s() const { return changed_unix_s_; }
  // The datacenter whose catalog this is.
  const std::string& datacenter() const { return datacenter_; }

  // Names are given in lower case (ASCII); null when there is none. What is returned lives as long
  // as the snapshot.
  const NodeEntry* FindNode(std::string_view lower_name) const;
  const ServiceEntry* FindService(std::string_view lower_name) const;
  // The same for many names at once: each stage asks the processor for what the next one reads, so
  // that the waits for memory overlap. In this order, each for all names.
  using ServiceCursor = ServiceMap::Cursor;
  ServiceCursor StartService(std::string_view lower_name) const {
    return services_.Start(HashKey(lower_name));
  }
  static void PrefetchServiceShard(ServiceCursor& cursor) { ServiceMap::PrefetchShard(cursor); }
  static void PrefetchServiceSlot(ServiceCursor& cursor) { ServiceMap::PrefetchEntry(cursor); }
  static const ServiceEntry* FindService(std::string_view lower_name, const ServiceCursor& cursor) {
    const ServiceSlot* slot = ServiceMap::Find(lower_name, cursor);
    return slot == nullptr ? nullptr : slot->entry.get();
  }
  // The nodes whose plain address it is, and the instances whose service address.
  AddressHolders FindAddress(const IpAddress& address) const { return addresses_.Find(address); }
  // The proxies that stand for a service in a mesh, and its native instances.
  const ServiceEntry* FindConnect(std::string_view lower_name) const;
  const IngressTable& ingress() const;
  const PreparedQuery* FindQueryById(std::string_view lower_id) const;
  // By its exact name, be it a template or not.
  const PreparedQuery* FindQueryByName(std::string_view lower_name) const;
  // The template whose name is the longest that the given one begins with.
  const PreparedQuery* FindQueryTemplate(std::string_view lower_name) const;
  // The index of the last change of a service; of one that is not there, when any was last removed.
  uint64_t ServiceIndex(std::string_view lower_name) const;
  // The same of what FindConnect finds.
  uint64_t ConnectIndex(std::string_view lower_name) const;

  // The index of the last change of any record of a kind.
  uint64_t nodes_index() const { return nodes_index_; }
  uint64_t services_index() const { return services_index_; }
  uint64_t checks_index() const { return checks_index_; }
  uint64_t queries_index() const { return queries_index_; }
  uint64_t ingress_index() const { return ingress_index_; }
  // When the last instance of some service was removed.
  uint64_t extinction_index() const { return extinction_index_; }
  // All there are, in no order that means anything: visit(const NodeEntry&), visit(const
  // ServiceEntry&).
  template <typename Visit>
  void ForEachNode(Visit visit) const {
    nodes_.ForEach([&](const std::string&, const Ref<const NodeEntry>& entry) { visit(*entry); });
  }
  template <typename Visit>
  void ForEachService(Visit visit) const {
    services_.ForEach([&](const std::string&, const ServiceSlot& slot) { visit(*slot.entry); });
  }
  // The index of every service, and of every service in the mesh: visit(name, index).
  template <typename Visit>
  void ForEachServiceIndex(Visit visit) const {
    services_.ForEach(
        [&](const std::string& name, const ServiceSlot& slot) { visit(name, slot.modify_index); });
  }
  template <typename Visit>
  void ForEachConnectIndex(Visit visit) const {
    connect_.ForEach(
        [&](const std::string& name, const ServiceSlot& slot) { visit(name, slot.modify_index); });
  }
  template <typename Visit>
  void ForEachQuery(Visit visit) const {
    queries_.ForEach(
        [&](const std::string&, const Ref<const PreparedQuery>& query) { visit(*query); });
  }
  size_t query_count() const { return queries_.size(); }
  size_t node_count() const { return nodes_.size(); }
  size_t service_count() const { return services_.size(); }
  // Whether the name of some node ends in `.<lower_suffix>`.
  bool HasNodeBelow(std::string_view lower_suffix) const;
  // Whether FindAddress knows some address in the network, or in a somewhat larger one: prefixes
  // are counted in steps of 8 bits (IPv4) or 16 (IPv6), the first 16 bits of IPv6 not at all.
  bool HasAddressNear(const IpAddress& network, size_t prefix_bits) const;
  // Whether the name of some prepared query ends in `.<lower_suffix>`.
  bool HasQueryBelow(std::string_view lower_suffix) const;
  // Whether some instance of any service, healthy or not, has the tag.
  bool HasTag(std::string_view lower_tag) const;

 private:
  friend class Catalog;
  uint64_t index_ = 0;
  uint64_t nodes_index_ = 0;
  uint64_t services_index_ = 0;
  uint64_t checks_index_ = 0;
  uint64_t queries_index_ = 0;
  uint64_t ingress_index_ = 0;
  uint64_t extinction_index_ = 0;  // When the last instance of some service was removed.
  int64_t changed_unix_s_ = 0;
  std::string datacenter_;
  PersistentMap<std::string, Ref<const NodeEntry>> nodes_;
  ServiceMap services_;
  ServiceMap connect_;  // By the name of the service in the mesh.
  AddressIndex addresses_;
  // How many addresses_ are in the network (NetworkKey in registry/network_key.h).
  PersistentMap<std::string, uint32_t> networks_;
  PersistentMap<std::string, Ref<const PreparedQuery>> queries_;  // By id.
  PersistentMap<std::string, Ref<const PreparedQuery>> queries_by_name_;
  // By the beginning of the names that they serve, which may be empty.
  PersistentMap<std::string, Ref<const PreparedQuery>> query_templates_;
  PersistentMap<std::string, uint32_t> query_suffixes_;
  Ref<const IngressTable> ingress_;  // Null: no gateway was ever set.
  // How many nodes have a name that ends in `.<key>`, and how many services have the tag.
  PersistentMap<std::string, uint32_t> node_suffixes_;
  PersistentMap<std::string, uint32_t> tags_;
};

}  // namespace pharos::registry
