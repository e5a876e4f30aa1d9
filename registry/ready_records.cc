#include "registry/ready_records.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "registry/instances.h"
#include "registry/types.h"

namespace pharos::registry {
namespace {

constexpr size_t kLabelsOctetsMax = 255;

// A target as SRV records name it, before the zone's end.
struct Target {
  bool is_node = false;
  std::string labels;
  Octets address;
};

Octets AddressOf(const DnsAddresses& dns) {
  if (dns.for_any == AddressKind::kV4) return dns.v4;
  if (dns.for_any == AddressKind::kV6) return dns.v6;
  return {};
}

// The address in hexadecimal digits, as one label.
std::string SpelledLabel(Octets address) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string label(1, static_cast<char>(2 * address.size()));
  for (const uint8_t octet : address) {
    label.push_back(kDigits[octet >> 4]);
    label.push_back(kDigits[octet & 15]);
  }
  return label;
}

// nullopt for what is not to be made ready: a host name, or an address that is none.
std::optional<Target> TargetOf(const Instance& instance) {
  Target target;
  target.address = AddressOf(instance.dns);
  if (target.address.empty() || instance.srv_target == SrvTarget::kName) return std::nullopt;
  target.is_node = instance.srv_target == SrvTarget::kNode && !instance.node->name_labels.empty();
  target.labels = target.is_node ? instance.node->name_labels.str() : SpelledLabel(target.address);
  if (target.labels.size() > kLabelsOctetsMax) return std::nullopt;
  return target;
}

// The first of `targets` that is the same as the last one.
uint8_t FirstLike(const std::vector<Target>& targets) {
  const Target& wanted = targets.back();
  uint8_t i = 0;
  while (targets[i].is_node != wanted.is_node || targets[i].labels != wanted.labels) ++i;
  return i;
}

}  // namespace

Ref<const ReadyRecords> ReadyRecords::Make(const InstanceList& instances) {
  std::vector<uint16_t> offsets;
  std::string records;
  std::vector<Target> targets;
  bool has_node_meta = false;
  bool has_v4 = false;
  bool has_srv = instances.size() <= kSrvInstancesMax;
  for (size_t i = 0; i < instances.size(); ++i) {
    const Instance& instance = instances[i];
    has_v4 = has_v4 || instance.dns.for_a == AddressKind::kV4;
    if (!has_srv) continue;
    offsets.push_back(static_cast<uint16_t>(instances.size() * sizeof(uint16_t) + records.size()));
    targets.emplace_back();
    if (instance.srv_target == SrvTarget::kNone) continue;
    const std::optional<Target> target = TargetOf(instance);
    if (!target) {
      has_srv = false;
      continue;
    }
    targets.back() = *target;
    has_node_meta = has_node_meta || !instance.node->meta_txt.empty();
    const SrvHead head{.weight = instance.srv_weight,
                       .port = instance.service->port,
                       .target_index = FirstLike(targets),
                       .is_node = target->is_node,
                       .labels_octets = static_cast<uint8_t>(target->labels.size()),
                       .address_octets = static_cast<uint8_t>(target->address.size())};
    records.append(reinterpret_cast<const char*>(&head), sizeof head);
    records.append(target->labels).append(AsText(target->address));
    // So that every head is where its 16-bit fields may be.
    if (records.size() % alignof(SrvHead) != 0) records.push_back('\0');
  }
  has_srv = has_srv && !records.empty();
  if (!has_v4 && !has_srv) return {};
  const size_t srv_offset = sizeof(ReadyRecords) + instances.size() * sizeof(AddressV4);
  const size_t offsets_octets = offsets.size() * sizeof(uint16_t);
  void* memory = ::operator new(srv_offset + (has_srv ? offsets_octets + records.size() : 0));
  auto* ready =
      new (memory) ReadyRecords(has_srv ? static_cast<uint32_t>(srv_offset) : 0, has_node_meta);
  uint8_t* v4 = ready->block() + sizeof(ReadyRecords);
  for (size_t i = 0; i < instances.size(); ++i, v4 += sizeof(AddressV4)) {
    std::memcpy(v4, instances[i].dns.v4.data(), sizeof(AddressV4));
  }
  if (has_srv) {
    std::memcpy(v4, offsets.data(), offsets_octets);
    std::copy(records.begin(), records.end(), v4 + offsets_octets);
  }
  return Ref<const ReadyRecords>(ready);
}

ReadyRecords::Srv ReadyRecords::srv(uint32_t position) const {
  const uint8_t* base = block() + srv_offset_;
  const uint8_t* at = base + reinterpret_cast<const uint16_t*>(base)[position];
  const auto& head = *reinterpret_cast<const SrvHead*>(at);
  const Octets labels(at + sizeof head, head.labels_octets);
  return {.weight = head.weight,
          .port = head.port,
          .target_index = head.target_index,
          .is_node = head.is_node != 0,
          .labels = labels,
          .address = Octets(labels.data() + labels.size(), head.address_octets)};
}

}  // namespace pharos::registry
