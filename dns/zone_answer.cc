// The zone's own records, nodes, addresses spelled in names, and reverse names.

#include <algorithm>
#include <array>
#include <string_view>

#include "dns/answerer.h"
#include "dns/sample.h"

namespace pharos::dns {
namespace {

// Consul's choice, of however many there are; and more than anybody runs, so that all are told.
constexpr size_t kNameServersMax = 3;
constexpr size_t kStandardNameServersMax = 13;
// The service that every server registers itself as.
constexpr std::string_view kServerService = "consul";

// Letters, digits and hyphens only: what may stand in the name of an NS record's target.
bool IsHostLabel(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
  });
}

std::optional<uint8_t> HexDigit(char c) {
  if (c >= '0' && c <= '9') return static_cast<uint8_t>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<uint8_t>(c - 'a' + 10);
  return std::nullopt;
}

// The 4 or 16 octets that 8 or 32 hexadecimal digits spell; the count, or 0 if they spell none.
size_t ReadHexAddress(std::string_view digits, std::array<uint8_t, 16>& octets) {
  if (digits.size() != 8 && digits.size() != 32) return 0;
  for (size_t i = 0; i < digits.size(); i += 2) {
    const std::optional<uint8_t> high = HexDigit(digits[i]);
    const std::optional<uint8_t> low = HexDigit(digits[i + 1]);
    if (!high || !low) return 0;
    octets[i / 2] = static_cast<uint8_t>(*high << 4 | *low);
  }
  return digits.size() / 2;
}

}  // namespace

NameParts Answerer::ZoneOwner() const {
  const Octets zone = question_.zone->name.wire();
  const Octets asked = query_.qname.wire().subspan(question_.zone_offset);
  // The question keeps the case asked, so only what is the very same octets may be pointed at.
  const bool same = std::equal(asked.begin(), asked.end(), zone.begin(), zone.end());
  const size_t offset = kHeaderOctets + question_.zone_offset;
  return {{}, zone, same ? static_cast<uint16_t>(offset) : uint16_t{0}};
}

Handled Answerer::AnswerApex() {
  switch (query_.qtype) {
    case RrType::kSoa:
      AddSoa(Section::kAnswer);
      AddNameServers(Section::kAuthority);
      return Positive();
    case RrType::kNs:
      AddNameServers(Section::kAnswer);
      return Positive();
    default:
      return Negative(Rcode::kNoError);
  }
}

Octets Answerer::SoaRdata(const Zone& zone, MutableOctets buffer) const {
  ByteWriter out(buffer);
  out.Append(zone.mname.wire());
  out.Append(zone.rname.wire());
  // The time of the last change: it stands still while nothing changes, and only grows.
  out.U32(static_cast<uint32_t>(std::max<int64_t>(snapshot_.changed_unix_s(), 1)));
  out.U32(config_.soa.refresh_s);
  out.U32(config_.soa.retry_s);
  out.U32(config_.soa.expire_s);
  out.U32(config_.soa.minimum_s);
  return out.written();
}

void Answerer::AddSoa(Section section) {
  std::array<uint8_t, kSoaRdataOctetsMax> buffer;
  if (!writer_.AddRecord(section, RrType::kSoa, ZoneOwner(), config_.soa.minimum_s,
                         SoaRdata(*question_.zone, buffer))) {
    cut_partial_ = true;
  }
}

// Up to three servers (or more, see above), at random; their addresses go to additional.
void Answerer::AddNameServers(Section section) {
  const registry::ServiceEntry* servers = snapshot_.FindService(kServerService);
  if (servers == nullptr) return;
  const std::span<const uint32_t> healthy =
      servers->all.everyone.Get(IncludeFor(config_, servers->all));
  struct Written {
    const registry::Instance* instance;
    uint16_t target_offset;
    Name labels;  // Of the node, lower case, with the root label.
  };
  const size_t count_max = config_.standard ? kStandardNameServersMax : kNameServersMax;
  std::array<Written, kStandardNameServersMax> written;
  size_t count = 0;
  for (const uint32_t position :
       Sample({healthy}, healthy.size(), context_.random, context_.scratch)) {
    if (count == count_max) break;
    const registry::Instance& instance = *servers->instances[position];
    if (!IsHostLabel(instance.node->name) || instance.node->name_labels.empty()) continue;
    const std::optional<Name> node = Name::FromText(instance.node->name);
    const Name labels = node->Lower();
    const NameParts target{labels.wire().first(labels.size() - 1),
                           question_.zone->node_suffix.wire(), 0};
    if (!writer_.AddNameRecord(section, RrType::kNs, ZoneOwner(), config_.node_ttl_s, target)) {
      cut_partial_ = true;
      break;
    }
    written[count++] = {&instance, writer_.last_target_offset(), labels};
  }
  for (const Written& server : std::span(written).first(count)) {
    const NameParts owner{server.labels.wire().first(server.labels.size() - 1),
                          question_.zone->node_suffix.wire(), 0, server.target_offset};
    for (const RrType type : {RrType::kA, RrType::kAaaa}) {
      const Octets address = AddressFor(server.instance->dns, type);
      if (address.empty()) continue;
      writer_.AddAddress(Section::kAdditional, owner, address, config_.node_ttl_s);
    }
  }
}

// The SOA's MNAME resolves to the servers, so that tools which ask it find somebody there.
Handled Answerer::AnswerNameServer() {
  const registry::ServiceEntry* servers = snapshot_.FindService(kServerService);
  if (servers == nullptr) return Negative(Rcode::kNoError);
  return AnswerServiceAddresses({.instances = registry::InstanceList(servers->instances),
                                 .records = &servers->all,
                                 .include = IncludeFor(config_, servers->all),
                                 .ttl_s = config_.node_ttl_s});
}

Handled Answerer::AnswerNode() {
  const registry::NodeEntry* entry = snapshot_.FindNode(question_.name);
  if (entry == nullptr) {
    const bool above = snapshot_.HasNodeBelow(question_.name);
    return Negative(above ? Rcode::kNoError : Rcode::kNxDomain);
  }
  const registry::Node& node = *entry->node;
  const uint32_t ttl_s = config_.node_ttl_s;
  const bool addresses =
      query_.qtype == RrType::kA || query_.qtype == RrType::kAaaa || query_.qtype == RrType::kAny;
  if (addresses) {
    const Octets address = AddressFor(node.dns, query_.qtype);
    if (!address.empty()) {
      writer_.AddAddress(Section::kAnswer, writer_.QnameOwner(), address, ttl_s);
    } else if (KindFor(node.dns, query_.qtype) == registry::AddressKind::kName) {
      AddChain(AsOctets(node.dns.name_wire), ttl_s, std::nullopt);
    }
  }
  // ANY may leave records out (RFC 8482), and beside a CNAME there is nothing (RFC 2181
  // section 10.1).
  const bool has_cname = KindFor(node.dns, query_.qtype) == registry::AddressKind::kName;
  if (query_.qtype == RrType::kTxt || (query_.qtype == RrType::kAny && !has_cname)) {
    AddNodeMeta(Section::kAnswer, node, writer_.QnameOwner(), ttl_s);
  }
  if (!needed_.empty() || needed_part_ != nullptr) return Positive();
  if (writer_.answer_count() == 0 && !cut_partial_) AddSoa(Section::kAuthority);
  if (addresses && query_.qtype != RrType::kAny && config_.node_meta_txt) {
    // The longest form of a node's name is only for asking: its metadata goes under the usual one.
    const NameParts usual{AsOctets(node.name_labels), question_.zone->node_suffix.wire(), 0};
    AddNodeMeta(Section::kAdditional, node,
                question_.datacenter_explicit ? usual : writer_.QnameOwner(), ttl_s);
  }
  return FinishWith(chain_end_);
}

// All TXT records of the node or, in the additional section, none: half an RRset there would be
// taken for the whole. In the answer a missing one sets TC, so that the client asks by TCP.
void Answerer::AddNodeMeta(Section section, const registry::Node& node, const NameParts& owner,
                           uint32_t ttl_s) {
  const Octets all = AsOctets(node.meta_txt);
  const ReplyWriter::Mark before = writer_.mark();
  for (size_t at = 0; at < all.size();) {
    const size_t octets = LoadU16(&all[at]);
    if (!writer_.AddRecord(section, RrType::kTxt, owner, ttl_s, all.subspan(at + 2, octets))) {
      if (section == Section::kAnswer) {
        cut_partial_ = true;
      } else {
        writer_.Rewind(before);
      }
      return;
    }
    at += 2 + octets;
  }
}

// <hex>.addr: the address is in the name, so the catalog is not asked.
Handled Answerer::AnswerSpelledAddress() {
  if (!AddSpelledAddress(question_.name, writer_.QnameOwner(), query_.qtype, Section::kAnswer,
                         config_.node_ttl_s)) {
    return Negative(Rcode::kNxDomain);
  }
  return writer_.answer_count() > 0 || cut_partial_ ? Positive() : Negative(Rcode::kNoError);
}

bool Answerer::IsSpelledAddress(std::string_view digits) {
  std::array<uint8_t, 16> octets;
  return ReadHexAddress(digits, octets) > 0;
}

bool Answerer::AddSpelledAddress(std::string_view digits, const NameParts& owner, RrType type,
                                 Section section, uint32_t ttl_s) {
  std::array<uint8_t, 16> octets;
  const size_t count = ReadHexAddress(digits, octets);
  if (count == 0) return false;
  const RrType own_type = count == 4 ? RrType::kA : RrType::kAaaa;
  const bool asked = type == own_type || type == RrType::kAny;
  if (asked && !writer_.AddAddress(section, owner, Octets(octets).first(count), ttl_s)) {
    cut_partial_ = cut_partial_ || section == Section::kAnswer;
  }
  return true;
}

// One PTR record with TTL 0: the first node by name, else the first service by name.
void Answerer::AddReverseTarget(const registry::AddressHolders& holders) {
  const Zone& zone = config_.zones.front();
  for (const auto& node : holders.nodes) {
    const Octets labels = AsOctets(node->name_labels);
    if (labels.empty() || labels.size() + zone.node_suffix.size() > kNameOctetsMax) continue;
    writer_.AddNameRecord(Section::kAnswer, RrType::kPtr, writer_.QnameOwner(), 0,
                          {labels, zone.node_suffix.wire(), 0});
    return;
  }
  for (const auto& service : holders.services) {
    const std::optional<Name> name = Name::FromText(service->name.str() + ".service." +
                                                    config_.datacenter + "." + zone.name.ToText());
    if (!name) continue;
    writer_.AddNameRecord(Section::kAnswer, RrType::kPtr, writer_.QnameOwner(), 0,
                          {{}, name->wire(), 0});
    return;
  }
}

// A negative reverse answer needs an SOA at or above the name (RFC 2308 section 3). We stand for
// every zone of the reverse tree, so it is that of the smallest network whose name can end at a
// label: a resolver that has any of the zones above from us takes it as from inside (one from above
// would be an error to BIND).
void Answerer::AddReverseSoa(const ReverseName& reverse) {
  const Octets wire = query_.qname.wire();
  size_t offset = 0;
  for (size_t labels = query_.qname.CountLabels(); labels > reverse.network_labels; --labels) {
    offset += wire[offset] + size_t{1};
  }
  std::array<uint8_t, kSoaRdataOctetsMax> buffer;
  writer_.AddRecord(Section::kAuthority, RrType::kSoa, writer_.QnameSuffix(offset),
                    config_.soa.minimum_s, SoaRdata(config_.zones.front(), buffer));
}

}  // namespace pharos::dns
