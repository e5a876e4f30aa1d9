// The catalog as readers see it: one immutable value at one index. Any thread may read it while it
// holds the ReadGuard or Pin it was reached by (base/published.h); nothing in it ever changes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip_address.h"
#include "registry/persistent_map.h"
#include "registry/types.h"

namespace pharos::registry {

// Positions in ServiceEntry::instances, the passing ones first: the first `passing_count` serve
// those who want only passing instances, all of them everyone else.
struct Selection {
  std::vector<uint32_t> positions;
  uint32_t passing_count = 0;

  std::span<const uint32_t> Get(bool only_passing) const {
    return std::span(positions).first(only_passing ? passing_count : positions.size());
  }
};

// The ready-made records of a service, or of its instances with one tag. No critical instance is in
// any of them.
struct RecordSet {
  Selection healthy;  // Every instance.
  Selection a;        // One instance per different IPv4 address that A questions see.
  Selection aaaa;     // The same for AAAA and IPv6.
  Selection any;      // The same for ANY: one per different for_any address (IPv4 or IPv6).
  Selection srv;      // One per different SRV target and port.
  Selection names;    // Every instance with a host name for a type (DnsAddresses::name_wire).
};

// All instances of the services that share a name without regard to case.
struct ServiceEntry : RefCounted {
  std::string name;                            // Lower case: the key.
  std::vector<Ref<const Instance>> instances;  // By node name, then service id; critical ones too.
  RecordSet all;
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

// Who has an IP address, for reverse look-ups: the first node by name whose plain address it is,
// else the first instance (by service name) whose service address it is.
struct AddressEntry : RefCounted {
  std::vector<Ref<const Node>> nodes;        // By name in lower case.
  std::vector<Ref<const Service>> services;  // By name in lower case.
};

class Snapshot {
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
  const AddressEntry* FindAddress(const IpAddress& address) const;
  // The index of the last change of a service; of one that is not there, when any was last removed.
  uint64_t ServiceIndex(std::string_view lower_name) const;

  // The index of the last change of any record of a kind.
  uint64_t nodes_index() const { return nodes_index_; }
  uint64_t services_index() const { return services_index_; }
  uint64_t checks_index() const { return checks_index_; }
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
  size_t node_count() const { return nodes_.size(); }
  size_t service_count() const { return services_.size(); }
  // Whether the name of some node ends in `.<lower_suffix>`.
  bool HasNodeBelow(std::string_view lower_suffix) const;
  // Whether FindAddress knows some address in the network, or in a somewhat larger one: prefixes
  // are counted in steps of 8 bits (IPv4) or 16 (IPv6), the first 16 bits of IPv6 not at all.
  bool HasAddressNear(const IpAddress& network, size_t prefix_bits) const;
  // Whether some instance of any service, healthy or not, has the tag.
  bool HasTag(std::string_view lower_tag) const;

 private:
  friend class Catalog;
  uint64_t index_ = 0;
  uint64_t nodes_index_ = 0;
  uint64_t services_index_ = 0;
  uint64_t checks_index_ = 0;
  uint64_t extinction_index_ = 0;  // When the last instance of some service was removed.
  int64_t changed_unix_s_ = 0;
  std::string datacenter_;
  PersistentMap<std::string, Ref<const NodeEntry>> nodes_;
  PersistentMap<std::string, ServiceSlot> services_;
  PersistentMap<IpAddress, Ref<const AddressEntry>> addresses_;
  // How many addresses_ are in the network (NetworkKey in registry/network_key.h).
  PersistentMap<std::string, uint32_t> networks_;
  // How many nodes have a name that ends in `.<key>`, and how many services have the tag.
  PersistentMap<std::string, uint32_t> node_suffixes_;
  PersistentMap<std::string, uint32_t> tags_;
};

}  // namespace pharos::registry
