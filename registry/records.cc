#include "registry/records.h"

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
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

constexpr Selection RecordSet::*kSelections[] = {&RecordSet::everyone, &RecordSet::a,
                                                 &RecordSet::aaaa,     &RecordSet::any,
                                                 &RecordSet::srv,      &RecordSet::names};

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
  for (const TaggedAddress& tagged : service.details->tagged_addresses) {
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

// What a text is, to be looked at once for all types that see it.
struct Parsed {
  std::string_view text;
  std::optional<IpAddress> ip;
};

AddressKind Classify(const Parsed& address, ForType type, DnsAddresses& addresses) {
  if (const auto& ip = address.ip) {
    if (ip->is_v4()) {
      if (type == ForType::kAaaa) return AddressKind::kNone;
      std::copy(ip->octets().begin(), ip->octets().end(), addresses.v4.begin());
      return AddressKind::kV4;
    }
    if (type == ForType::kA) return AddressKind::kNone;
    std::copy(ip->octets().begin(), ip->octets().end(), addresses.v6.begin());
    return AddressKind::kV6;
  }
  std::string wire = HostNameWire(address.text);
  if (wire.empty()) return AddressKind::kNone;
  addresses.name_wire = std::move(wire);
  return AddressKind::kName;
}

DnsAddresses ClassifyAll(std::string_view a, std::string_view aaaa, std::string_view any) {
  DnsAddresses addresses;
  Parsed parsed{a, IpAddress::Parse(a)};
  const auto classify = [&](std::string_view text, ForType type) {
    if (text != parsed.text) parsed = {text, IpAddress::Parse(text)};
    return Classify(parsed, type, addresses);
  };
  addresses.for_a = classify(a, ForType::kA);
  addresses.for_aaaa = classify(aaaa, ForType::kAaaa);
  addresses.for_any = classify(any, ForType::kAny);
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

// Drops weights that are all the same.
void KeepDifferentWeights(std::vector<uint32_t>& weights) {
  const bool same =
      std::adjacent_find(weights.begin(), weights.end(), std::not_equal_to<>()) == weights.end();
  if (same) weights.clear();
}

// Which keys were seen, each with a number in the order of their first coming.
template <typename Key>
class SeenKeys {
 public:
  // The key's number, and whether it is new.
  std::pair<uint32_t, bool> Add(const Key& key) {
    if (few_.size() < kFewMax) {
      const auto known = std::ranges::find(few_, key);
      const auto number = static_cast<uint32_t>(known - few_.begin());
      if (known != few_.end()) return {number, false};
      few_.push_back(key);
      return {number, true};
    }
    if (many_.empty()) {
      for (const Key& each : few_) many_.try_emplace(each, static_cast<uint32_t>(many_.size()));
    }
    const auto [known, is_new] = many_.try_emplace(key, static_cast<uint32_t>(many_.size()));
    return {known->second, is_new};
  }

 private:
  // Comparing with a few is cheaper than a hash map.
  static constexpr size_t kFewMax = 16;
  absl::InlinedVector<Key, kFewMax> few_;
  absl::flat_hash_map<Key, uint32_t> many_;
};

// Adds the positions that give a new key, by health. One that stands for several instances weighs
// as much as they do together.
template <typename KeyOf>
Selection SelectDistinct(const InstanceList& instances, const std::vector<uint32_t>& positions,
                         KeyOf key_of, SelectionPool& pool) {
  using Key = typename decltype(key_of(instances[0]))::value_type;
  Selection::Parts parts;
  SeenKeys<Key> seen;
  for (const Health health : {Health::kPassing, Health::kWarning, Health::kCritical}) {
    const auto first_of_health = static_cast<uint32_t>(parts.positions.size());
    for (const uint32_t position : positions) {
      const Instance& instance = instances[position];
      if (instance.health != health) continue;
      const std::optional<Key> key = key_of(instance);
      if (!key) continue;
      const auto [number, is_new] = seen.Add(*key);
      if (is_new) {
        parts.positions.push_back(position);
        parts.weights.push_back(instance.srv_weight);
        continue;
      }
      parts.merged = true;
      if (number >= first_of_health) parts.weights[number] += instance.srv_weight;
    }
    const auto count = static_cast<uint32_t>(parts.positions.size());
    if (health == Health::kPassing) parts.passing_count = count;
    if (health != Health::kCritical) parts.healthy_count = count;
  }
  KeepDifferentWeights(parts.weights);
  return pool.Make(parts);
}

// Appends `from` (rising) to `positions` without those of `changed`, and with those of `arriving`
// where they belong; both are rising, and `arriving` is part of `changed`.
void AppendRegion(std::span<const uint32_t> from, std::span<const uint32_t> changed,
                  std::span<const uint32_t> arriving, std::vector<uint32_t>& positions) {
  auto at = from.begin();
  auto next = arriving.begin();
  for (const uint32_t position : changed) {
    const auto found = std::lower_bound(at, from.end(), position);
    positions.insert(positions.end(), at, found);
    at = found != from.end() && *found == position ? found + 1 : found;
    if (next != arriving.end() && *next == position) positions.push_back(*next++);
  }
  positions.insert(positions.end(), at, from.end());
}

// The weight of each position of `selection`, by position.
std::vector<uint32_t> WeightsByPosition(const Selection& selection, const InstanceList& before) {
  std::vector<uint32_t> weights(before.size());
  const std::span<const uint64_t> sums = selection.WeightSums(Include::kAll);
  const std::span<const uint32_t> positions = selection.positions();
  for (size_t i = 0; i < positions.size(); ++i) {
    weights[positions[i]] = sums.empty()
                                ? before[positions[0]].srv_weight
                                : static_cast<uint32_t>(sums[i] - (i == 0 ? 0 : sums[i - 1]));
  }
  return weights;
}

// `was` after the health of `changed` has changed; nobody in it stands for another one too.
Selection MoveByHealth(const Selection& was, const InstanceList& before, const InstanceList& after,
                       std::span<const uint32_t> changed, SelectionPool& pool) {
  const std::span<const uint32_t> all = was.positions();
  const std::span<const uint32_t> regions[] = {
      all.first(was.passing_count()),
      all.subspan(was.passing_count(), was.healthy_count() - was.passing_count()),
      all.subspan(was.healthy_count())};
  std::vector<uint32_t> arriving[3];
  bool same_weight = was.WeightSums(Include::kAll).empty();
  for (const uint32_t position : changed) {
    const bool in = std::ranges::any_of(regions, [position](const auto& region) {
      return std::ranges::binary_search(region, position);
    });
    if (!in) continue;
    const Instance& instance = after[position];
    arriving[static_cast<size_t>(instance.health)].push_back(position);
    same_weight = same_weight && instance.srv_weight == before[all[0]].srv_weight;
  }
  Selection::Parts parts;
  parts.positions.reserve(all.size());
  for (size_t i = 0; i < 3; ++i) {
    AppendRegion(regions[i], changed, arriving[i], parts.positions);
    const auto count = static_cast<uint32_t>(parts.positions.size());
    if (i == 0) parts.passing_count = count;
    if (i == 1) parts.healthy_count = count;
  }
  if (!same_weight) {
    std::vector<uint32_t> weights = WeightsByPosition(was, before);
    for (const uint32_t position : changed) weights[position] = after[position].srv_weight;
    for (const uint32_t position : parts.positions) parts.weights.push_back(weights[position]);
    KeepDifferentWeights(parts.weights);
  }
  return pool.Make(parts);
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

// What makes an SRV record another one (RFC 2181 section 5): the target and the port. The target is
// a node, an address or a host name in lower case.
struct SrvKey {
  SrvTarget target = SrvTarget::kNone;
  uint16_t port = 0;
  const Node* node = nullptr;
  std::array<uint8_t, 16> address{};
  std::string name;

  friend bool operator==(const SrvKey&, const SrvKey&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const SrvKey& key) {
    return H::combine(std::move(h), key.target, key.port, key.node, key.address, key.name);
  }
};

std::optional<SrvKey> KeyOfSrv(const Instance& instance) {
  const DnsAddresses& dns = instance.dns;
  SrvKey key{.target = instance.srv_target, .port = instance.service->port, .name = {}};
  switch (instance.srv_target) {
    case SrvTarget::kNone:
      return std::nullopt;
    case SrvTarget::kNode:
      key.node = instance.node.get();
      break;
    case SrvTarget::kName:
      key.name = LowerCase(dns.name_wire);
      break;
    case SrvTarget::kAddr:
      if (dns.for_any == AddressKind::kV4) {
        std::copy(dns.v4.begin(), dns.v4.end(), key.address.begin());
      } else {
        key.address = dns.v6;
      }
      break;
  }
  return key;
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

int CompareIgnoringCase(std::string_view a, std::string_view b) {
  const auto lower = [](char letter) {
    return static_cast<unsigned char>(absl::ascii_tolower(static_cast<unsigned char>(letter)));
  };
  const size_t both = std::min(a.size(), b.size());
  for (size_t i = 0; i < both; ++i) {
    if (a[i] == b[i]) continue;
    if (const int difference = lower(a[i]) - lower(b[i]); difference != 0) return difference;
  }
  return a.size() == b.size() ? 0 : a.size() < b.size() ? -1 : 1;
}

bool LessIgnoringCase(std::string_view a, std::string_view b) {
  return CompareIgnoringCase(a, b) < 0;
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

RecordSet MakeRecordSet(const InstanceList& instances, const std::vector<uint32_t>& positions,
                        SelectionPool& pool) {
  using Pointer = std::optional<const Instance*>;
  RecordSet set;
  const auto select = [&](auto key_of) {
    return SelectDistinct(instances, positions, key_of, pool);
  };
  set.everyone = select([](const Instance& i) -> Pointer { return &i; });
  set.a = select([](const Instance& i) { return KeyOfAddress(i.dns, i.dns.for_a); });
  set.aaaa = select([](const Instance& i) { return KeyOfAddress(i.dns, i.dns.for_aaaa); });
  set.any = select([](const Instance& i) { return KeyOfAddress(i.dns, i.dns.for_any); });
  set.srv = select(KeyOfSrv);
  set.names = select([](const Instance& i) -> Pointer {
    return i.dns.name_wire.empty() ? Pointer() : Pointer(&i);
  });
  // Mostly they are all the same.
  for (Selection* selection : {&set.a, &set.aaaa, &set.any, &set.srv, &set.names}) {
    if (*selection == set.everyone) *selection = set.everyone;
  }
  return set;
}

LocalityView LocalityOf(const Instance& instance) {
  const Locality& own = instance.service->details->locality;
  if (!own.empty()) return {own.region, own.zone};
  const Node& node = *instance.node;
  if (const Locality& nodes = node.locality; !nodes.empty()) return {nodes.region, nodes.zone};
  return {MetaOf(node, kRegionMeta), MetaOf(node, kZoneMeta)};
}

void FillServiceRecords(ServiceEntry& entry, SelectionPool& pool) {
  const InstanceList instances(entry.instances);
  std::vector<uint32_t> everyone;
  std::map<std::string, std::vector<uint32_t>> tagged;
  for (uint32_t i = 0; i < instances.size(); ++i) {
    everyone.push_back(i);
    for (const std::string& tag : instances[i].service->tags) {
      std::vector<uint32_t>& positions = tagged[LowerCase(tag)];
      if (positions.empty() || positions.back() != i) positions.push_back(i);
    }
  }
  entry.all = MakeRecordSet(instances, everyone, pool);
  entry.by_tag.clear();
  entry.by_tag.reserve(tagged.size());
  for (const auto& [tag, positions] : tagged) {
    entry.by_tag.emplace_back(tag, MakeRecordSet(instances, positions, pool));
  }
  entry.ready = ReadyRecords::Make(instances);
}

void UpdateServiceHealth(const ServiceEntry& before, std::span<const uint32_t> changed,
                         ServiceEntry& entry, SelectionPool& pool) {
  const InstanceList old_instances(before.instances);
  const InstanceList instances(entry.instances);
  // Selections that are one, stay one; so the work is done once for each.
  std::vector<std::pair<const Selection*, const Selection*>> done;
  const auto update = [&](const Selection& was, Selection& is) {
    const auto known = std::ranges::find_if(
        done, [&was](const auto& pair) { return pair.first->SharesWith(was); });
    if (known != done.end()) {
      is = *known->second;
      return;
    }
    is = MoveByHealth(was, old_instances, instances, changed, pool);
    done.emplace_back(&was, &is);
  };
  const auto update_set = [&](const RecordSet& was, RecordSet& is) {
    for (const auto selection : kSelections) update(was.*selection, is.*selection);
  };
  entry.by_tag.resize(before.by_tag.size());
  update_set(before.all, entry.all);
  for (size_t i = 0; i < before.by_tag.size(); ++i) {
    entry.by_tag[i].first = before.by_tag[i].first;
    update_set(before.by_tag[i].second, entry.by_tag[i].second);
  }
  entry.ready =
      before.ready && before.ready->has_health() ? ReadyRecords::Make(instances) : before.ready;
}

bool CanUpdateHealth(const ServiceEntry& entry) {
  const auto merged = [](const RecordSet& set) {
    return std::ranges::any_of(kSelections,
                               [&set](const auto selection) { return (set.*selection).merged(); });
  };
  return !merged(entry.all) && std::ranges::none_of(entry.by_tag, [&merged](const auto& tagged) {
    return merged(tagged.second);
  });
}

}  // namespace pharos::registry
