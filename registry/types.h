// The catalog's records as values, each with what DNS needs of it made ready when it changes.
// All are immutable once published; strings keep the case they were registered with.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "registry/compact_string.h"
#include "registry/rare.h"
#include "registry/ref.h"

namespace pharos::registry {

enum class Health : uint8_t { kPassing, kWarning, kCritical };

// Pairs sorted by key; a few entries each, so a vector beats a map.
using StringPairs = std::vector<std::pair<std::string, std::string>>;

struct TaggedAddress {
  std::string name;     // lan_ipv4, wan ...
  std::string address;  // IP address or host name.
  uint16_t port = 0;
  friend bool operator==(const TaggedAddress&, const TaggedAddress&) = default;
};

enum class AddressKind : uint8_t {
  kNone,  // Nothing that a question of this type could be answered with.
  kV4,
  kV6,
  kName,  // A host name: answered by CNAME, and for SRV as the target.
};

// The addresses of a node or an instance as questions of each type see them (the rules: tagged
// lan_ipv4/lan_ipv6 before the plain address, the service's before its node's).
struct DnsAddresses {
  AddressKind for_a = AddressKind::kNone;     // kNone, kV4 or kName
  AddressKind for_aaaa = AddressKind::kNone;  // kNone, kV6 or kName
  AddressKind for_any = AddressKind::kNone;   // SRV, ANY and all other types
  std::array<uint8_t, 4> v4{};                // valid where a kind says kV4
  std::array<uint8_t, 16> v6{};               // valid where a kind says kV6
  // Uncompressed wire form with the root label, registered case; where a kind says kName. Empty
  // (and the kind kNone) for text that is no domain name.
  Rare<std::string> name_wire;
  friend bool operator==(const DnsAddresses&, const DnsAddresses&) = default;
};

// Where a node or an instance is, from coarse to fine; empty: not said.
struct Locality {
  std::string region, zone;
  bool empty() const { return region.empty() && zone.empty(); }
  friend bool operator==(const Locality&, const Locality&) = default;
};

struct Node : RefCounted {
  std::string name;
  CompactString id;
  CompactString datacenter;  // Lower case.
  CompactString address;
  Rare<StringPairs> tagged_addresses;
  Rare<StringPairs> meta;
  Rare<Locality> locality;
  uint64_t create_index = 0;
  uint64_t modify_index = 0;

  DnsAddresses dns;
  // TXT RDATA of each meta pair in key order (RFC 1464 quoting; a text over 255 octets is several
  // character-strings, RFC 1035 section 3.3.14), each behind its length as a big-endian u16.
  CompactString meta_txt;
  // `name` as wire labels without a root label, split at its dots; empty when a label would be
  // empty or over 63 octets, so that the node cannot be named in DNS.
  CompactString name_labels;
};

// What few services say of themselves.
struct ServiceDetails {
  std::vector<TaggedAddress> tagged_addresses;  // Sorted by name.
  std::string kind;
  std::string socket_path;
  std::string proxy_destination;  // Of kind connect-proxy: the service it stands for.
  Locality locality;              // Empty: the node's.
  bool empty() const { return *this == ServiceDetails(); }
  friend bool operator==(const ServiceDetails&, const ServiceDetails&) = default;
};

struct Service : RefCounted {
  uint16_t port = 0;
  uint16_t weight_passing = 1;
  uint16_t weight_warning = 1;
  bool enable_tag_override = false;
  bool connect_native = false;  // Takes the mesh's connections itself.
  CompactString id;
  CompactString name;
  CompactString address;
  Rare<std::vector<std::string>> tags;
  Rare<StringPairs> meta;
  Rare<ServiceDetails> details;
  uint64_t create_index = 0;
  uint64_t modify_index = 0;
};

struct HealthCheck : RefCounted {
  Health status = Health::kCritical;
  std::string id;
  std::string name;
  std::string type;
  Rare<std::string> notes;
  Rare<std::string> output;
  Rare<std::string> service_id;    // Empty: of the node.
  Rare<std::string> service_name;  // Of service_id when it was registered.
  Rare<std::string> interval;
  Rare<std::string> timeout;
  Rare<std::string> definition;  // A JSON object, or empty.
  uint64_t create_index = 0;
  uint64_t modify_index = 0;
};

// What an SRV record of an instance points at.
enum class SrvTarget : uint8_t {
  kNone,  // No usable address: no SRV record.
  kNode,  // <node>.node.<dc>.<domain>
  kAddr,  // <hex>.addr.<dc>.<domain>
  kName,  // The host name itself.
};

// A service on a node with its health: what an answer is made of.
struct Instance : RefCounted {
  Health health = Health::kPassing;  // The worst of its node's checks and its own.
  SrvTarget srv_target = SrvTarget::kNone;
  uint16_t srv_weight = 1;  // By health.
  Ref<const Node> node;
  Ref<const Service> service;
  DnsAddresses dns;
};

}  // namespace pharos::registry
