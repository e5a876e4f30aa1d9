#include "registry/records.h"

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <tuple>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "base/ip_address.h"

namespace pharos::registry {
namespace {

constexpr size_t kLabelOctetsMax = 63;
constexpr size_t kNameOctetsMax = 255;
constexpr size_t kCharacterStringMax = 255;  // RFC 1035 section 3.3.
constexpr std::string_view kSegmentKey = "consul-network-segment";
constexpr std::string_view kPlainTextPrefix = "rfc1035-";

enum class ForType : uint8_t { kA, kAaaa, kAny };

// What a source (an instance, or its node) offers: its plain address and its tagged ones.
struct Source {
  std::string_view plain, lan_ipv4, lan_ipv6;
};

Source SourceOf(const Node& node) {
  Source source{.plain = node.address, .lan_ipv4 = {}, .lan_ipv6 = {}};
  for (const auto& [name, address] : node.tagged_addresses) {
    if (name == "lan_ipv4") source.lan_ipv4 = address;
    if (name == "lan_ipv6") source.lan_ipv6 = address;
  }
  return source;
}

Source SourceOf(const Service& service) {
  Source source{.plain = service.address, .lan_ipv4 = {}, .lan_ipv6 = {}};
  for (const TaggedAddress& tagged : service.tagged_addresses) {
    if (tagged.name == "lan_ipv4") source.lan_ipv4 = tagged.address;
    if (tagged.name == "lan_ipv6") source.lan_ipv6 = tagged.address;
  }
  return source;
}

// The address that questions of a type see, empty if the source has none for them. A tagged address
// of the wrong family says nothing.
std::string_view Choose(const Source& source, ForType type) {
  const auto usable = [](std::string_view text, bool v4) {
    const auto ip = IpAddress::Parse(text);
    return ip ? ip->is_v4() == v4 : !HostNameWire(text).empty();
  };
  if (type != ForType::kA && usable(source.lan_ipv6, false)) return source.lan_ipv6;
  if (type != ForType::kAaaa && usable(source.lan_ipv4, true)) return source.lan_ipv4;
  return source.plain;
}

AddressKind Classify(std::string_view text, ForType type, DnsAddresses& addresses) {
  if (const auto ip = IpAddress::Parse(text)) {
    if (ip->is_v4()) {
      if (type == ForType::kAaaa) return AddressKind::kNone;
      std::copy(ip->octets().begin(), ip->octets().end(), addresses.v4.begin());
      return AddressKind::kV4;
    }
    if (type == ForType::kA) return AddressKind::kNone;
    std::copy(ip->octets().begin(), ip->octets().end(), addresses.v6.begin());
    return AddressKind::kV6;
  }
  std::string wire = HostNameWire(text);
  if (wire.empty()) return AddressKind::kNone;
  addresses.name_wire = std::move(wire);
  return AddressKind::kName;
}

DnsAddresses ClassifyAll(std::string_view a, std::string_view aaaa, std::string_view any) {
  DnsAddresses addresses;
  addresses.for_a = Classify(a, ForType::kA, addresses);
  addresses.for_aaaa = Classify(aaaa, ForType::kAaaa, addresses);
  addresses.for_any = Classify(any, ForType::kAny, addresses);
  return addresses;
}

void AppendQuoted(std::string_view text, bool is_key, std::string& out) {
  const size_t first = text.find_first_not_of(' ');
  const size_t last = text.find_last_not_of(' ');
  for (size_t i = 0; i < text.size(); ++i) {
    const bool outer_space = is_key && text[i] == ' ' && (i < first || i > last);
    if (text[i] == '`' || (is_key && text[i] == '=') || outer_space) out.push_back('`');
    out.push_back(text[i]);
  }
}

// Keeps the running sums of the weights if they differ.
void SetWeights(const std::vector<uint32_t>& weights, Selection& selection) {
  const bool differ =
      std::adjacent_find(weights.begin(), weights.end(), std::not_equal_to<>()) != weights.end();
  if (!differ) return;
  auto sums = std::make_unique<std::vector<uint64_t>>();
  sums->reserve(weights.size());
  for (const uint32_t weight : weights) {
    sums->push_back((sums->empty() ? 0 : sums->back()) + weight);
  }
  selection.weight_sums = std::move(sums);
}

// Adds the positions that give a new key, by health. One that stands for several instances weighs
// as much as they do together.
template <typename KeyOf>
Selection SelectDistinct(const InstanceList& instances, const std::vector<uint32_t>& positions,
                         KeyOf key_of) {
  using Key = typename decltype(key_of(instances[0]))::value_type;
  Selection selection;
  std::vector<uint32_t> weights;
  absl::flat_hash_map<Key, uint32_t> seen;
  for (const Health health : {Health::kPassing, Health::kWarning, Health::kCritical}) {
    const auto first_of_health = static_cast<uint32_t>(selection.positions.size());
    for (const uint32_t position : positions) {
      const Instance& instance = instances[position];
      if (instance.health != health) continue;
      const std::optional<Key> key = key_of(instance);
      if (!key) continue;
      const auto [known, is_new] = seen.try_emplace(*key, weights.size());
      if (is_new) {
        selection.positions.push_back(position);
        weights.push_back(instance.srv_weight);
      } else if (known->second >= first_of_health) {
        weights[known->second] += instance.srv_weight;
      }
    }
    const auto count = static_cast<uint32_t>(selection.positions.size());
    if (health == Health::kPassing) selection.passing_count = count;
    if (health != Health::kCritical) selection.healthy_count = count;
  }
  selection.positions.shrink_to_fit();
  SetWeights(weights, selection);
  return selection;
}

using AddressKey = std::tuple<AddressKind, std::array<uint8_t, 16>>;

std::optional<AddressKey> KeyOfAddress(const DnsAddresses& addresses, AddressKind kind) {
  std::array<uint8_t, 16> octets{};
  if (kind == AddressKind::kV4) {
    std::copy(addresses.v4.begin(), addresses.v4.end(), octets.begin());
  } else if (kind == AddressKind::kV6) {
    octets = addresses.v6;
  } else {
    return std::nullopt;
  }
  return AddressKey{kind, octets};
}

// The same text for those that have the same target, so that no SRV record is made twice (RFC 2181
// section 5).
std::string SrvTargetKey(const Instance& instance) {
  const DnsAddresses& dns = instance.dns;
  if (instance.srv_target == SrvTarget::kNode) return "node " + LowerCase(instance.node->name);
  if (instance.srv_target == SrvTarget::kName) return "name " + LowerCase(dns.name_wire);
  const bool v4 = dns.for_any == AddressKind::kV4;
  return std::string("addr ").append(v4 ? AsText(dns.v4) : AsText(dns.v6));
}

std::string_view MetaOf(const Node& node, std::string_view key) {
  for (const auto& [name, value] : node.meta) {
    if (name == key) return value;
  }
  return {};
}

SrvTarget TargetOf(const Node& node, std::string_view chosen, bool from_service,
                   const DnsAddresses& addresses) {
  switch (addresses.for_any) {
    case AddressKind::kNone:
      return SrvTarget::kNone;
    case AddressKind::kName:
      return SrvTarget::kName;
    default:
      return !from_service && chosen == node.address ? SrvTarget::kNode : SrvTarget::kAddr;
  }
}

}  // namespace

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  absl::AsciiStrToLower(&lower);
  return lower;
}

bool LessIgnoringCase(std::string_view a, std::string_view b) {
  return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return static_cast<unsigned char>(absl::ascii_tolower(static_cast<unsigned char>(x))) <
           static_cast<unsigned char>(absl::ascii_tolower(static_cast<unsigned char>(y)));
  });
}

std::string WireLabels(std::string_view text) {
  std::string wire;
  while (true) {
    const size_t dot = text.find('.');
    const std::string_view label = text.substr(0, dot);
    if (label.empty() || label.size() > kLabelOctetsMax) return {};
    wire.push_back(static_cast<char>(label.size()));
    wire.append(label);
    if (dot == std::string_view::npos) break;
    text.remove_prefix(dot + 1);
  }
  return wire.size() < kNameOctetsMax ? wire : std::string();
}

std::string HostNameWire(std::string_view text) {
  if (text.ends_with('.')) text.remove_suffix(1);
  const auto plain = [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '-' || c == '_' || c == '.';
  };
  if (text.empty() || !std::all_of(text.begin(), text.end(), plain)) return {};
  const std::string_view last = text.substr(text.rfind('.') + 1);
  if (std::all_of(last.begin(), last.end(), absl::ascii_isdigit)) return {};
  std::string wire = WireLabels(text);
  if (!wire.empty()) wire.push_back('\0');
  return wire;
}

std::string MetaTxt(const StringPairs& meta) {
  std::string all;
  for (const auto& [key, value] : meta) {
    // For clients of the HTTP API alone; in DNS it would be one more record that says nothing.
    if (key == kSegmentKey) continue;
    std::string text;
    if (LowerCase(key).starts_with(kPlainTextPrefix)) {
      text = value;
    } else {
      AppendQuoted(key, true, text);
      text.push_back('=');
      AppendQuoted(value, false, text);
    }
    std::string rdata;
    std::string_view rest = text;
    do {
      const std::string_view piece = rest.substr(0, kCharacterStringMax);
      rdata.push_back(static_cast<char>(piece.size()));
      rdata.append(piece);
      rest.remove_prefix(piece.size());
    } while (!rest.empty());
    all.push_back(static_cast<char>(rdata.size() >> 8));
    all.push_back(static_cast<char>(rdata.size() & 0xff));
    all.append(rdata);
  }
  return all;
}

void FillNodeRecords(Node& node) {
  const Source source = SourceOf(node);
  node.dns = ClassifyAll(Choose(source, ForType::kA), Choose(source, ForType::kAaaa),
                         Choose(source, ForType::kAny));
  node.meta_txt = MetaTxt(node.meta);
  node.name_labels = WireLabels(node.name);
}

Ref<const Instance> MakeInstance(Ref<const Node> node, Ref<const Service> service, Health health) {
  const Source own = SourceOf(*service);
  const Source nodes = SourceOf(*node);
  // The service's own address decides wherever it has one.
  const auto choose = [&](ForType type) {
    const std::string_view chosen = Choose(own, type);
    return chosen.empty() ? Choose(nodes, type) : chosen;
  };
  auto* instance = new Instance;
  instance->dns = ClassifyAll(choose(ForType::kA), choose(ForType::kAaaa), choose(ForType::kAny));
  instance->srv_target =
      TargetOf(*node, choose(ForType::kAny), !Choose(own, ForType::kAny).empty(), instance->dns);
  instance->srv_weight =
      health == Health::kPassing ? service->weight_passing : service->weight_warning;
  instance->health = health;
  instance->node = std::move(node);
  instance->service = std::move(service);
  return Ref<const Instance>(instance);
}

RecordSet MakeRecordSet(const InstanceList& instances, const std::vector<uint32_t>& positions) {
  using Pointer = std::optional<const Instance*>;
  using SrvKey = std::optional<std::tuple<std::string, uint16_t>>;
  RecordSet set;
  set.everyone =
      SelectDistinct(instances, positions, [](const Instance& i) -> Pointer { return &i; });
  set.a = SelectDistinct(instances, positions,
                         [](const Instance& i) { return KeyOfAddress(i.dns, i.dns.for_a); });
  set.aaaa = SelectDistinct(instances, positions,
                            [](const Instance& i) { return KeyOfAddress(i.dns, i.dns.for_aaaa); });
  set.any = SelectDistinct(instances, positions,
                           [](const Instance& i) { return KeyOfAddress(i.dns, i.dns.for_any); });
  set.srv = SelectDistinct(instances, positions, [](const Instance& i) -> SrvKey {
    if (i.srv_target == SrvTarget::kNone) return std::nullopt;
    return std::tuple(SrvTargetKey(i), i.service->port);
  });
  set.names = SelectDistinct(instances, positions, [](const Instance& i) -> Pointer {
    return i.dns.name_wire.empty() ? Pointer() : Pointer(&i);
  });
  return set;
}

LocalityView LocalityOf(const Instance& instance) {
  const Locality& own = instance.service->locality;
  if (!own.empty()) return {own.region, own.zone};
  const Node& node = *instance.node;
  if (!node.locality.empty()) return {node.locality.region, node.locality.zone};
  return {MetaOf(node, kRegionMeta), MetaOf(node, kZoneMeta)};
}

void FillServiceRecords(ServiceEntry& entry) {
  const InstanceList instances(entry.instances);
  std::vector<uint32_t> everyone;
  std::map<std::string, std::vector<uint32_t>> tagged;
  for (uint32_t i = 0; i < entry.instances.size(); ++i) {
    everyone.push_back(i);
    for (const std::string& tag : entry.instances[i]->service->tags) {
      std::vector<uint32_t>& positions = tagged[LowerCase(tag)];
      if (positions.empty() || positions.back() != i) positions.push_back(i);
    }
  }
  entry.all = MakeRecordSet(instances, everyone);
  entry.by_tag.clear();
  entry.by_tag.reserve(tagged.size());
  for (const auto& [tag, positions] : tagged) {
    entry.by_tag.emplace_back(tag, MakeRecordSet(instances, positions));
  }
}

}  // namespace pharos::registry
