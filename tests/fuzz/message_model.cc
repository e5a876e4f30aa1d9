#include "tests/fuzz/message_model.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <map>
#include <tuple>

#include "tests/fuzz/message_catalog.h"

namespace pharos::fuzz {
namespace {

using catalog::v1::Register;
using catalog::v1::Service;

enum Type : uint16_t {
  kA = 1,
  kNs = 2,
  kCname = 5,
  kSoa = 6,
  kPtr = 12,
  kTxt = 16,
  kAaaa = 28,
  kSrv = 33,
  kAny = 255
};

std::string Lower(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return text;
}

Labels SplitAtDots(const std::string& text) {
  Labels labels(1);
  for (const char c : text) {
    if (c == '.') {
      labels.emplace_back();
    } else {
      labels.back() += c;
    }
  }
  if (labels.size() > 1 && labels.back().empty()) labels.pop_back();
  return labels;
}

std::string Join(const Labels& labels, size_t from, size_t to) {
  std::string text;
  for (size_t i = from; i < to; ++i) text += (i == from ? "" : ".") + labels[i];
  return text;
}

// Empty when it is no domain name.
std::string Wire(const Labels& labels) {
  std::string wire;
  for (const std::string& label : labels) {
    if (label.empty() || label.size() > 63) return {};
    wire += static_cast<char>(label.size()) + label;
  }
  wire += '\0';
  return wire.size() <= 255 ? wire : std::string();
}

std::string U16(uint32_t value) {
  return {static_cast<char>(value >> 8), static_cast<char>(value & 0xff)};
}

// An address as registered: octets of an IP address, or a host name in wire form.
struct Address {
  enum Kind { kNone, kV4, kV6, kName } kind = kNone;
  std::string octets;
};

Address ReadAddress(const std::string& text) {
  std::array<uint8_t, 16> octets{};
  const auto* data = reinterpret_cast<const char*>(octets.data());
  if (inet_pton(AF_INET, text.c_str(), octets.data()) == 1) return {Address::kV4, {data, 4}};
  if (inet_pton(AF_INET6, text.c_str(), octets.data()) == 1) {
    static const std::string kMapped = std::string(10, '\0') + "\xff\xff";
    const std::string all(data, 16);
    if (all.starts_with(kMapped)) return {Address::kV4, all.substr(12)};
    return {Address::kV6, all};
  }
  const Labels labels = SplitAtDots(Lower(text));
  for (const std::string& label : labels) {
    for (const char c : label) {
      const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
      if (!plain) return {};
    }
  }
  const std::string& last = labels.back();
  if (last.find_first_not_of("0123456789") == std::string::npos) return {};
  const std::string wire = Wire(labels);
  return wire.empty() ? Address{} : Address{Address::kName, wire};
}

// What an instance (or, with `service` null, a node) has for questions of a type.
struct Source {
  std::string plain, lan_ipv4, lan_ipv6;

  const std::string& For(uint16_t type) const {
    if (type != kA && !lan_ipv6.empty()) return lan_ipv6;
    if (type != kAaaa && !lan_ipv4.empty()) return lan_ipv4;
    return plain;
  }
};

template <typename Map, typename Text>
std::string Tagged(const Map& tagged, const std::string& name, Text text) {
  const auto found = tagged.find(name);
  return found == tagged.end() ? std::string() : text(found->second);
}

Source SourceOf(const catalog::v1::Node& node) {
  const auto text = [](const std::string& address) { return address; };
  return {node.address(), Tagged(node.tagged_addresses(), "lan_ipv4", text),
          Tagged(node.tagged_addresses(), "lan_ipv6", text)};
}

Source SourceOf(const Service& service) {
  const auto text = [](const auto& tagged) { return tagged.address(); };
  return {service.address(), Tagged(service.tagged_addresses(), "lan_ipv4", text),
          Tagged(service.tagged_addresses(), "lan_ipv6", text)};
}

bool FitsType(const Address& address, uint16_t type) {
  if (address.kind == Address::kV4) return type != kAaaa;
  if (address.kind == Address::kV6) return type != kA;
  return address.kind == Address::kName;
}

struct Instance {
  const Register* on;
  const Service* service;
  bool warning;

  bool has_own(uint16_t type) const { return !SourceOf(*service).For(type).empty(); }
  Address For(uint16_t type) const {
    const Address address =
        ReadAddress(has_own(type) ? SourceOf(*service).For(type) : SourceOf(on->node()).For(type));
    return FitsType(address, type) ? address : Address{};
  }
};

// The instances of a service with a tag (empty: any): whether there are any, and those that are not
// critical.
struct Found {
  bool any = false;
  std::vector<Instance> serving;
};

Found Find(const std::string& name, const std::string& tag) {
  Found found;
  for (const Register& change : Registrations()) {
    for (const Service& service : change.services()) {
      const bool has_tag =
          tag.empty() ||
          std::ranges::any_of(service.tags(), [&](const auto& each) { return Lower(each) == tag; });
      if (Lower(service.name()) != name || !has_tag) continue;
      found.any = true;
      const std::string id = service.id().empty() ? service.name() : service.id();
      int worst = catalog::v1::HEALTH_STATUS_PASSING;
      for (const auto& check : change.checks()) {
        if (check.service_id().empty() || check.service_id() == id) {
          worst = std::max(worst, static_cast<int>(check.status()));
        }
      }
      if (worst == catalog::v1::HEALTH_STATUS_CRITICAL) continue;
      found.serving.push_back({&change, &service, worst == catalog::v1::HEALTH_STATUS_WARNING});
    }
  }
  return found;
}

// One label (RFC 1464) or more of a text record.
std::string Texts(const std::string& key, const std::string& value) {
  std::string text;
  if (Lower(key).starts_with("rfc1035-")) {
    text = value;
  } else {
    size_t first = 0, last = key.size();
    while (first < last && key[first] == ' ') ++first;
    while (last > first && key[last - 1] == ' ') --last;
    for (size_t i = 0; i < key.size(); ++i) {
      const bool quoted = key[i] == '`' || key[i] == '=' || i < first || i >= last;
      text += (quoted ? "`" : "") + std::string(1, key[i]);
    }
    text += '=';
    for (const char c : value) text += (c == '`' ? "`" : "") + std::string(1, c);
  }
  std::string rdata;
  do {
    const std::string piece = text.substr(0, 255);
    text.erase(0, piece.size());
    rdata += static_cast<char>(piece.size()) + piece;
  } while (!text.empty());
  return rdata;
}

class Question {
 public:
  Question(const Labels& name, uint16_t type, const dns::AnswerConfig& config)
      : name_(name), type_(type), config_(config) {}

  Expected Answer() {
    const int zone = ZoneLabels(name_, config_);
    if (zone < 0) return Reverse();
    count_ = name_.size() - static_cast<size_t>(zone);
    zone_ = Labels(name_.begin() + static_cast<ptrdiff_t>(count_), name_.end());
    expected_.modelled = true;
    for (size_t i = count_; i-- > 0;) {
      const std::string& label = name_[i];
      if (label == "query" || label == "connect" || label == "ingress" || label == "virtual") {
        return {};
      }
      if (label == "node" || label == "service" || label == "addr") return Form(label, i, i + 1);
      if (type_ == kSrv && label.starts_with('_')) return Form("service", i + 1, i + 1);
    }
    return NoForm();
  }

 private:
  bool KnownDatacenter(size_t from) const {
    const size_t labels = count_ - from;
    if (labels == 0) return true;
    return name_[from] == kDatacenter && (labels == 1 || (labels == 2 && name_[from + 1] == "dc"));
  }

  Expected Form(const std::string& keyword, size_t parts, size_t after) {
    if (keyword != "addr" && !KnownDatacenter(after)) return expected_;
    if (parts == 0) return Exists();
    if (keyword == "addr") return Spelled(parts);
    return keyword == "node" ? Node(Join(name_, 0, parts)) : ServiceParts(parts);
  }

  Expected Exists() {
    expected_.exists = true;
    return expected_;
  }

  Expected NoForm() {
    if (count_ == 0) return Apex();
    if (count_ == 1 && name_[0] == "ns") {
      if (config_.panic_percent > 0) return {};
      expected_.exists = true;
      return Addresses(Find("consul", "").serving);
    }
    // `_tag` names exist when some instance has the tag; others only above what exists.
    if (name_[0].starts_with('_')) return {};
    if (name_[0] == "dc" && count_ == 1) return Exists();
    if (name_[0] == kDatacenter && KnownDatacenter(0)) return Exists();
    return expected_;
  }

  Expected Apex() {
    expected_.exists = true;
    if (type_ != kNs) return expected_;
    const Found servers = Find("consul", "");
    for (const Instance& server : servers.serving) {
      const std::string node = Lower(server.on->node().name());
      if (node.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") != std::string::npos) {
        continue;
      }
      Add(kNs, NodeName(node));
    }
    return Finish();
  }

  Expected Spelled(size_t parts) {
    if (parts != 1) return expected_;
    const std::string& digits = name_[0];
    if (digits.find_first_not_of("0123456789abcdef") != std::string::npos) return expected_;
    if (digits.size() != 8 && digits.size() != 32) return expected_;
    Address address{digits.size() == 8 ? Address::kV4 : Address::kV6, {}};
    for (size_t i = 0; i < digits.size(); i += 2) {
      address.octets += static_cast<char>(std::stoi(digits.substr(i, 2), nullptr, 16));
    }
    expected_.exists = true;
    const uint16_t own = digits.size() == 8 ? kA : kAaaa;
    if (type_ == own || type_ == kAny) AddAddress(address);
    return Finish();
  }

  Expected Node(const std::string& name) {
    for (const Register& change : Registrations()) {
      const std::string known = Lower(change.node().name());
      if (known.ends_with("." + name)) expected_.exists = true;
      if (known != name) continue;
      expected_.exists = true;
      const Address address = ReadAddress(SourceOf(change.node()).For(type_));
      if (type_ == kA || type_ == kAaaa || type_ == kAny) AddAddress(address);
      if (type_ != kTxt && type_ != kAny) continue;
      for (const auto& [key, value] : change.node().meta()) {
        if (key != "consul-network-segment") Add(kTxt, Texts(key, value));
      }
    }
    return Finish();
  }

  Expected ServiceParts(size_t parts) {
    std::string service = name_[parts - 1];
    std::string tag = Join(name_, 0, parts - 1);
    if (parts == 1 && service == "_tcp") return Exists();
    if (parts == 2 && name_[0].starts_with('_') && name_[1].starts_with('_')) {
      service = name_[0].substr(1);
      tag = name_[1].substr(1);
      if (tag == "tcp") tag.clear();
    }
    const Found found = Find(service, tag);
    // Then those that are critical may be among the answers, too.
    if (config_.panic_percent > 0) return {};
    if (!found.any) return NoService(service, tag);
    std::vector<Instance> shown;
    for (const Instance& each : found.serving) {
      if (!config_.only_passing || !each.warning) shown.push_back(each);
    }
    if (shown.empty()) return expected_;
    expected_.exists = true;
    return type_ == kSrv ? Srv(shown) : Addresses(shown);
  }

  // A name that is no service may still be above one: a tag's end, or `_tag`.
  Expected NoService(const std::string& service, const std::string& tag) {
    if (service.starts_with('_') || name_[0].starts_with('_')) return {};
    for (const Register& change : Registrations()) {
      for (const Service& each : change.services()) {
        if (Lower(each.name()) != service) continue;
        for (const std::string& known : each.tags()) {
          if (Lower(known).ends_with("." + tag)) expected_.exists = true;
        }
      }
    }
    return expected_;
  }

  Expected Addresses(const std::vector<Instance>& instances) {
    const bool for_type = type_ == kA || type_ == kAaaa || type_ == kAny;
    std::vector<const Instance*> itself;
    for (const Instance& each : instances) {
      const Address address = each.For(type_);
      if (address.kind == Address::kName && address.octets == Wire(name_)) {
        itself.push_back(&each);
      } else if (for_type || address.kind == Address::kName) {
        AddAddress(address);
      }
    }
    if (!expected_.records.empty() || !for_type) return Finish();
    // A host name that is the name itself stands for the node.
    for (const Instance* each : itself) {
      const Address node = ReadAddress(SourceOf(each->on->node()).For(type_));
      if (node.kind != Address::kName && FitsType(node, type_)) AddAddress(node);
    }
    const std::set<std::string> either = expected_.cnames;
    Finish();
    expected_.cnames = either;
    expected_.whole = std::min<size_t>(expected_.whole, 1);
    return expected_;
  }

  Expected Srv(const std::vector<Instance>& instances) {
    std::set<std::tuple<std::string, std::string, uint32_t>> keys;
    for (const Instance& each : instances) {
      const std::string target = Target(each);
      if (target.empty()) continue;
      const auto& weights = each.service->weights();
      const bool fit = each.service->has_weights() && weights.passing() >= 1;
      const uint32_t weight = !fit ? 1 : each.warning ? weights.warning() : weights.passing();
      Add(kSrv, U16(1) + U16(weight) + U16(each.service->port()) + target);
      keys.emplace(Lower(each.on->node().name()), each.service->address(), each.service->port());
    }
    expected_.whole = std::min(keys.size(), expected_.records.size());
    return expected_;
  }

  std::string Target(const Instance& instance) const {
    const Address address = instance.For(kSrv);
    std::string node = NodeName(Lower(instance.on->node().name()));
    Address spelled = address;
    switch (address.kind) {
      case Address::kNone:
        return {};
      case Address::kName:
        if (address.octets != Wire(name_)) return address.octets;
        if (!node.empty()) return node;
        spelled = ReadAddress(SourceOf(instance.on->node()).For(kSrv));
        break;
      default:
        const Source own = SourceOf(instance.on->node());
        if (!instance.has_own(kSrv) && own.For(kSrv) == own.plain && !node.empty()) return node;
    }
    std::string hex;
    for (const char c : spelled.octets) {
      constexpr char kDigits[] = "0123456789abcdef";
      hex += kDigits[static_cast<uint8_t>(c) >> 4];
      hex += kDigits[static_cast<uint8_t>(c) & 15];
    }
    return InZone({hex, "addr", kDatacenter});
  }

  // Empty when the node cannot be named.
  std::string NodeName(const std::string& node) const {
    Labels labels;
    std::string rest = node;
    for (size_t dot; (dot = rest.find('.')) != std::string::npos; rest.erase(0, dot + 1)) {
      labels.push_back(rest.substr(0, dot));
    }
    labels.push_back(rest);
    labels.insert(labels.end(), {"node", kDatacenter});
    return InZone(labels);
  }

  std::string InZone(Labels labels) const {
    labels.insert(labels.end(), zone_.begin(), zone_.end());
    return Wire(labels);
  }

  // The first node by name with the address, else the first service by name.
  Expected Reverse() {
    const Address address = ReadReverse();
    if (address.kind == Address::kNone) return {};
    zone_ = ToLabels({reinterpret_cast<const char*>(config_.zones[0].name.wire().data()),
                      config_.zones[0].name.size()});
    std::map<std::string, std::string> nodes, services;
    for (const Register& change : Registrations()) {
      const std::string node = Lower(change.node().name());
      if (SameIp(change.node().address(), address)) nodes[node] = NodeName(node);
      for (const Service& service : change.services()) {
        if (!SameIp(service.address(), address)) continue;
        Labels labels = SplitAtDots(Lower(service.name()));
        labels.insert(labels.end(), {"service", kDatacenter});
        services[Lower(service.name())] = InZone(labels);
      }
    }
    expected_.modelled = true;
    std::erase_if(nodes, [](const auto& each) { return each.second.empty(); });
    expected_.exists = !nodes.empty() || !services.empty();
    if (type_ != kPtr && type_ != kAny) return expected_;
    for (const auto* from : {&nodes, &services}) {
      if (from->empty()) continue;
      Add(kPtr, from->begin()->second);
      break;
    }
    return Finish();
  }

  static bool SameIp(const std::string& text, const Address& address) {
    const Address read = ReadAddress(text);
    return read.kind == address.kind && read.octets == address.octets;
  }

  Address ReadReverse() const {
    if (name_.size() == 6 && name_[5] == "arpa" && name_[4] == "in-addr") {
      return ReadAddress(name_[3] + "." + name_[2] + "." + name_[1] + "." + name_[0]);
    }
    if (name_.size() != 34 || name_[33] != "arpa" || name_[32] != "ip6") return {};
    std::string text;
    for (size_t i = 32; i-- > 0;) text += name_[i] + (i % 4 == 0 && i != 0 ? ":" : "");
    const Address address = ReadAddress(text);
    return address.kind == Address::kV6 ? address : Address{};
  }

  void AddAddress(const Address& address) {
    if (!FitsType(address, type_)) return;
    if (address.kind == Address::kV4) Add(kA, address.octets);
    if (address.kind == Address::kV6) Add(kAaaa, address.octets);
    if (address.kind == Address::kName) expected_.cnames.insert(TypedRdata(kCname, address.octets));
  }

  void Add(uint16_t type, const std::string& rdata) {
    if (!rdata.empty()) expected_.records.insert(TypedRdata(type, rdata));
  }

  Expected Finish() {
    if (!expected_.records.empty()) expected_.cnames.clear();
    expected_.exists = expected_.exists || !expected_.records.empty();
    expected_.whole = expected_.records.size();
    return expected_;
  }

  const Labels& name_;
  const uint16_t type_;
  const dns::AnswerConfig& config_;
  size_t count_ = 0;  // Labels left of the zone.
  Labels zone_;
  Expected expected_;
};

}  // namespace

Labels ToLabels(std::string_view wire) {
  Labels labels;
  for (size_t at = 0; wire[at] != 0; at += static_cast<uint8_t>(wire[at]) + size_t{1}) {
    labels.push_back(Lower(std::string(wire.substr(at + 1, static_cast<uint8_t>(wire[at])))));
  }
  return labels;
}

std::string TypedRdata(uint16_t type, std::string_view rdata) {
  // Letter case means nothing in a name, and all in an address or a text.
  constexpr size_t kSrvNumberOctets = 6;
  const bool name = type == kCname || type == kNs || type == kPtr;
  const size_t before_name = name ? 0 : type == kSrv ? kSrvNumberOctets : rdata.size();
  return U16(type) + std::string(rdata.substr(0, before_name)) +
         Lower(std::string(rdata.substr(before_name)));
}

int ZoneLabels(const Labels& name, const dns::AnswerConfig& config) {
  int longest = -1;
  for (const dns::Zone& zone : config.zones) {
    const Labels labels =
        ToLabels({reinterpret_cast<const char*>(zone.name.wire().data()), zone.name.size()});
    if (labels.size() > name.size()) continue;
    const bool inside = std::equal(labels.begin(), labels.end(),
                                   name.end() - static_cast<ptrdiff_t>(labels.size()));
    if (inside) longest = std::max(longest, static_cast<int>(labels.size()));
  }
  return longest;
}

Expected Ask(const Labels& name, uint16_t type, const dns::AnswerConfig& config) {
  return Question(name, type, config).Answer();
}

}  // namespace pharos::fuzz
