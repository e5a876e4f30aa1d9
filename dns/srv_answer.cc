// SRV records (RFC 2782) of services, with the addresses of their targets.

#include <algorithm>
#include <array>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "dns/answerer.h"

namespace pharos::dns {
namespace {

constexpr size_t kPointerOctets = 2;
constexpr size_t kSrvFixedOctets = 6;
constexpr size_t kPointerTargetMax = 0x3fff;
// A length octet and the 32 hexadecimal digits of an IPv6 address.
constexpr size_t kSpelledOctetsMax = 33;
// Up to this many, looking through the earlier targets is cheaper than remembering them.
constexpr size_t kLinearTargetsMax = 16;

using registry::SrvTarget;

size_t SpellAddress(Octets address, MutableOctets spelled) {
  constexpr char kDigits[] = "0123456789abcdef";
  size_t at = 0;
  spelled[at++] = static_cast<uint8_t>(2 * address.size());
  for (const uint8_t octet : address) {
    spelled[at++] = static_cast<uint8_t>(kDigits[octet >> 4]);
    spelled[at++] = static_cast<uint8_t>(kDigits[octet & 15]);
  }
  return at;
}

}  // namespace

Answerer::SrvRecord Answerer::MakeSrvRecord(const registry::Instance& instance) const {
  SrvRecord record{&instance, instance.srv_target, 0, false};
  // A host name that is the very name asked would lead back here; the node is meant.
  if (record.target == SrvTarget::kName && IsAsked(AsOctets(instance.dns.name_wire))) {
    record.target = SrvTarget::kNode;
  }
  const size_t node_octets = instance.node->name_labels.size() + question_.zone->node_suffix.size();
  if (record.target == SrvTarget::kNode &&
      (instance.node->name_labels.empty() || node_octets > kNameOctetsMax)) {
    record.target = SrvTarget::kAddr;  // The node cannot be named in DNS.
  }
  return record;
}

Octets Answerer::SrvAddress(const SrvRecord& record) const {
  if (record.target == SrvTarget::kName) return {};
  const registry::Instance& instance = *record.instance;
  // Where the instance itself has a host name, the node's address stands in (see MakeSrvRecord).
  const bool own = instance.srv_target != SrvTarget::kName;
  return AddressFor(own ? instance.dns : instance.node->dns, RrType::kSrv);
}

NameParts Answerer::SrvTargetName(const SrvRecord& record, MutableOctets spelled) const {
  const Zone& zone = *question_.zone;
  NameParts name;
  if (record.target == SrvTarget::kName) {
    name.suffix = AsOctets(record.instance->dns.name_wire);
  } else if (record.target == SrvTarget::kNode) {
    name = {AsOctets(record.instance->node->name_labels), zone.node_suffix.wire(),
            node_suffix_offset_};
  } else {
    name = {spelled.first(SpellAddress(SrvAddress(record), spelled)), zone.addr_suffix.wire(),
            addr_suffix_offset_};
  }
  name.whole_offset = record.target_offset;
  return name;
}

Handled Answerer::AnswerServiceSrv(const Candidates& candidates) {
  const registry::Selection& selection = candidates.records->srv;
  const size_t available = selection.Count(candidates.include);
  const uint32_t ttl_s = candidates.ttl_s;
  const CountLimit limit = LimitCount(config_, limits_, available, false);
  const std::span<const uint32_t> chosen = Pick(candidates, selection, limit.count);

  // A reply of 512 octets holds no more than this, and only larger ones take memory.
  std::array<SrvRecord, 32> few;
  std::vector<SrvRecord> many;
  if (chosen.size() > few.size()) many.resize(chosen.size());
  const std::span<SrvRecord> room = many.empty() ? std::span<SrvRecord>(few) : std::span(many);
  size_t usable = 0;
  for (const uint32_t position : chosen) {
    const SrvRecord record = MakeSrvRecord(candidates.instances[position]);
    if (record.target != SrvTarget::kName && SrvAddress(record).empty()) continue;
    room[usable++] = record;
  }
  if (usable == 0) return Negative(Rcode::kNoError);

  MarkRepeatedTargets(room.first(usable));
  const size_t fitting = limit.by_udp_limit ? CountFittingSrvUncompressed(room.first(usable))
                                            : CountFittingSrv(room.first(usable));
  cut_ = fitting < usable || chosen.size() < available;
  const std::span<SrvRecord> shown = room.first(fitting);
  if (explains()) ExplainCut(fitting, available, limit.count);
  AddSrvRecords(shown, ttl_s);
  AddSrvGlue(shown, ttl_s);
  if (!cut_ && config_.node_meta_txt) AddSrvMeta(shown, ttl_s);
  return Positive();
}

void Answerer::MarkRepeatedTargets(std::span<SrvRecord> records) const {
  const auto key = [this](const SrvRecord& record) {
    const registry::Instance& instance = *record.instance;
    if (record.target == SrvTarget::kNode) return AsText(AsOctets(instance.node->name_labels));
    if (record.target == SrvTarget::kName) return std::string_view(instance.dns.name_wire);
    return AsText(SrvAddress(record));
  };
  if (records.size() <= kLinearTargetsMax) {
    for (size_t i = 1; i < records.size(); ++i) {
      for (size_t j = 0; j < i && !records[i].repeats_target; ++j) {
        records[i].repeats_target =
            records[i].target == records[j].target && key(records[i]) == key(records[j]);
      }
    }
    return;
  }
  absl::flat_hash_set<std::pair<SrvTarget, absl::string_view>> seen;
  for (SrvRecord& record : records) {
    const std::string_view text = key(record);
    record.repeats_target =
        !seen.emplace(record.target, absl::string_view(text.data(), text.size())).second;
  }
}

size_t Answerer::CountFittingSrv(std::span<const SrvRecord> records) const {
  const size_t owner = writer_.compression() ? kPointerOctets : query_.qname.size();
  const size_t before_target = owner + kRecordFixedOctets + kSrvFixedOctets;
  size_t room = writer_.Room();
  size_t offset = writer_.offset();
  for (size_t i = 0; i < records.size(); ++i) {
    const SrvRecord& record = records[i];
    std::array<uint8_t, kSpelledOctetsMax> spelled;
    const NameParts target = SrvTargetName(record, spelled);
    const size_t answer = before_target + target.WireOctets();
    size_t glue = 0;
    // By the standard, additional records never keep answers out (RFC 2181 section 9).
    if (!config_.standard && !record.repeats_target && record.target != SrvTarget::kName) {
      size_t glue_owner = target.WireOctets();
      if (writer_.compression() && offset + before_target <= kPointerTargetMax) {
        glue_owner = kPointerOctets;
      } else if (writer_.compression()) {
        // The first targets are within reach, so at least their common end can be pointed at.
        glue_owner = target.labels.size() + kPointerOctets;
      }
      glue = glue_owner + kRecordFixedOctets + SrvAddress(record).size();
    }
    if (answer + glue > room) return i;
    room -= answer + glue;
    offset += answer;
  }
  return records.size();
}

size_t Answerer::CountFittingSrvUncompressed(std::span<const SrvRecord> records) const {
  size_t room = UncompressedRoom(query_.question.size());
  for (size_t i = 0; i < records.size(); ++i) {
    const SrvRecord& record = records[i];
    std::array<uint8_t, kSpelledOctetsMax> spelled;
    const size_t target = SrvTargetName(record, spelled).WireOctets();
    size_t octets = query_.qname.size() + kRecordFixedOctets + kSrvFixedOctets + target;
    if (!record.repeats_target && record.target != SrvTarget::kName) {
      octets += target + kRecordFixedOctets + SrvAddress(record).size();
    }
    if (octets > room) return std::max<size_t>(i, 1);
    room -= octets;
  }
  return records.size();
}

void Answerer::AddSrvRecords(std::span<SrvRecord> records, uint32_t ttl_s) {
  const NameParts owner = writer_.QnameOwner();
  for (SrvRecord& record : records) {
    std::array<uint8_t, kSpelledOctetsMax> spelled;
    const registry::Instance& instance = *record.instance;
    const NameParts target = SrvTargetName(record, spelled);
    writer_.AddSrv(owner, ttl_s, instance.srv_weight, instance.service->port, target);
    record.target_offset = writer_.last_target_offset();
    const size_t suffix_offset = record.target_offset + target.labels.size();
    if (record.target_offset == 0 || suffix_offset > kPointerTargetMax) continue;
    uint16_t* known = record.target == SrvTarget::kNode   ? &node_suffix_offset_
                      : record.target == SrvTarget::kAddr ? &addr_suffix_offset_
                                                          : nullptr;
    if (known != nullptr && *known == 0) *known = static_cast<uint16_t>(suffix_offset);
  }
}

void Answerer::AddSrvGlue(std::span<const SrvRecord> records, uint32_t ttl_s) {
  for (const SrvRecord& record : records) {
    if (record.repeats_target) continue;
    if (record.target == SrvTarget::kName) {
      const std::optional<Name> target = Name::FromWire(AsOctets(record.instance->dns.name_wire));
      if (!target) continue;
      for (const RrType type : {RrType::kA, RrType::kAaaa}) {
        Follow(*target, record.target_offset, type, Section::kAdditional, ttl_s);
      }
      continue;
    }
    std::array<uint8_t, kSpelledOctetsMax> spelled;
    writer_.AddAddress(Section::kAdditional, SrvTargetName(record, spelled), SrvAddress(record),
                       ttl_s);
  }
}

// Node metadata, each node's once, as long as there is room for all of a node's.
void Answerer::AddSrvMeta(std::span<const SrvRecord> records, uint32_t ttl_s) {
  for (size_t i = 0; i < records.size(); ++i) {
    const registry::Node& node = *records[i].instance->node;
    if (node.meta_txt.empty() || node.name_labels.empty()) continue;
    const bool done = std::any_of(
        records.begin(), records.begin() + static_cast<ptrdiff_t>(i),
        [&node](const SrvRecord& earlier) { return earlier.instance->node.get() == &node; });
    if (done) continue;
    const bool is_target = records[i].target == SrvTarget::kNode;
    const NameParts owner{AsOctets(node.name_labels), question_.zone->node_suffix.wire(),
                          node_suffix_offset_, is_target ? records[i].target_offset : uint16_t{0}};
    if (owner.WireOctets() > kNameOctetsMax) continue;
    AddNodeMeta(Section::kAdditional, node, owner, ttl_s);
  }
}

}  // namespace pharos::dns
