#include "dns/ready_answer.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/prefetch.h"
#include "dns/answer_limits.h"
#include "dns/name_question.h"
#include "dns/reply_frame.h"
#include "dns/reply_writer.h"
#include "dns/sample.h"

namespace pharos::dns {
namespace {

using registry::ReadyRecords;
using registry::Snapshot;

constexpr size_t kPointerOctets = 2;
constexpr size_t kSrvFixedOctets = 6;
constexpr size_t kARecordOctets = kPointerOctets + kRecordFixedOctets + 4;
// In the order of the wire, and a pointer to the QNAME, which always stands behind the header.
constexpr uint16_t kQnamePointer = 0xc000 | kHeaderOctets;
// Label, tag, `service`, datacenter, `dc`, and the labels of a domain; more go the other way.
constexpr size_t kLabelsMax = 12;

// The ASCII capitals among eight octets as small letters (exact, whatever the other octets).
uint64_t LowerOctets(uint64_t octets) {
  constexpr uint64_t kHigh = 0x8080808080808080;
  constexpr uint64_t kOnes = 0x0101010101010101;
  const uint64_t low = octets & ~kHigh;
  const uint64_t from_a = low + (0x80 - 'A') * kOnes;
  const uint64_t beyond_z = low + (0x80 - 'Z' - 1) * kOnes;
  const uint64_t capitals = from_a & ~beyond_z & ~octets & kHigh;
  return octets | (capitals >> 2);
}

uint64_t LoadOctets(const uint8_t* at) {
  uint64_t octets;
  std::memcpy(&octets, at, sizeof octets);
  return octets;
}

void LowerEight(const uint8_t* from, uint8_t* to) {
  const uint64_t octets = LowerOctets(LoadOctets(from));
  std::memcpy(to, &octets, sizeof octets);
}

// Lengths of labels are below the letters, so a name in wire form is lowered as it stands: eight
// octets at a time, the last eight again with what comes before them.
void LowerName(Octets name, std::array<uint8_t, ReadyAnswers::kQnameOctetsMax>& lower) {
  if (name.size() < 8) {
    for (size_t i = 0; i < name.size(); ++i) lower[i] = LowerOctet(name[i]);
    return;
  }
  const size_t last = name.size() - 8;
  for (size_t i = 0; i < last; i += 8) LowerEight(&name[i], &lower[i]);
  LowerEight(&name[last], &lower[last]);
}

// Whether two stretches of memory are the same, of eight octets or more.
bool SameOctets(const uint8_t* a, const uint8_t* b, size_t size) {
  const size_t last = size - 8;
  for (size_t i = 0; i < last; i += 8) {
    if (LoadOctets(a + i) != LoadOctets(b + i)) return false;
  }
  return LoadOctets(a + last) == LoadOctets(b + last);
}

uint64_t BigEndian(uint64_t value) {
  return std::endian::native == std::endian::little ? __builtin_bswap64(value) : value;
}

uint8_t* PutU16(uint8_t* at, uint16_t value) {
  StoreU16(at, value);
  return at + 2;
}
uint8_t* Put(uint8_t* at, Octets octets) {
  std::memcpy(at, octets.data(), octets.size());
  return at + octets.size();
}

// The first eight octets of a record, as they lie in memory: owner by pointer, type, class IN, and
// half of the TTL.
uint64_t RecordStart(uint16_t owner_pointer, RrType type, uint32_t ttl_s) {
  return BigEndian((uint64_t{owner_pointer} << 48) | (uint64_t{static_cast<uint16_t>(type)} << 32) |
                   (uint64_t{static_cast<uint16_t>(RrClass::kIn)} << 16) | (ttl_s >> 16));
}

// Owner, type, class and TTL of a record; its RDLENGTH is next.
uint8_t* PutRecordHead(uint8_t* at, uint16_t owner_pointer, RrType type, uint32_t ttl_s) {
  const uint64_t start = RecordStart(owner_pointer, type, ttl_s);
  std::memcpy(at, &start, sizeof start);
  return PutU16(at + sizeof start, static_cast<uint16_t>(ttl_s));
}

bool IsUnderscored(std::string_view label) { return label.starts_with('_'); }

}  // namespace

void ReadyAnswers::SetConfig(const AnswerConfig& config) {
  config_ = &config;
  count_ = 0;
  suffixes_.clear();
  if (!config.compression || config.locality != LocalityPreference::kOff) return;
  for (const Zone& zone : config.zones) {
    AddSuffix(zone, {"service"});
    AddSuffix(zone, {"service", config.datacenter});
    AddSuffix(zone, {"service", config.datacenter, "dc"});
  }
}

void ReadyAnswers::AddSuffix(const Zone& zone, const std::vector<std::string_view>& labels) {
  std::vector<uint8_t> wire;
  for (const std::string_view label : labels) {
    wire.push_back(static_cast<uint8_t>(label.size()));
    wire.insert(wire.end(), label.begin(), label.end());
  }
  wire.insert(wire.end(), zone.name.wire().begin(), zone.name.wire().end());
  // A name as the suffix would have it must be read so by who decides it: not where one zone is
  // within another, say, or a datacenter is named like a keyword.
  std::vector<uint8_t> sample = {1, 'a'};
  sample.insert(sample.end(), wire.begin(), wire.end());
  const std::optional<Name> name = Name::FromWire(sample);
  if (!name) return;
  NameQuestion question;
  ParseNameQuestion(*name, RrType::kSrv, *config_, question);
  const bool own = question.datacenter.empty() || question.datacenter == config_->datacenter;
  if (question.form != NameForm::kService || question.name != "a" || question.zone != &zone ||
      !own) {
    return;
  }
  suffixes_.push_back({std::move(wire), &zone});
}

const ReadyAnswers::Suffix* ReadyAnswers::FindSuffix(Octets lower) const {
  for (const Suffix& suffix : suffixes_) {
    // They begin with `service`, so there are eight octets at least.
    if (suffix.wire.size() == lower.size() &&
        SameOctets(suffix.wire.data(), lower.data(), lower.size())) {
      return &suffix;
    }
  }
  return nullptr;
}

// Settles which service and which tag the name asks for; the same as ParseNameQuestion.
bool ReadyAnswers::ReadName(Slot& slot, size_t qname_octets,
                            std::span<const uint8_t> label_offsets) const {
  const Octets lower = Octets(slot.lower).first(qname_octets);
  slot.tag_octets = 0;
  slot.tag_at = 0;
  if (label_offsets.size() < 3) return false;
  slot.suffix = FindSuffix(lower.subspan(label_offsets[1]));
  if (slot.suffix != nullptr) {
    slot.name_at = 1;
    slot.name_octets = lower[0];
    return slot.name() != "_tcp";
  }
  slot.suffix = FindSuffix(lower.subspan(label_offsets[2]));
  if (slot.suffix == nullptr) return false;
  slot.tag_at = 1;
  slot.tag_octets = lower[0];
  slot.name_at = static_cast<uint8_t>(label_offsets[1] + 1);
  slot.name_octets = lower[label_offsets[1]];
  if (!IsUnderscored(slot.tag()) || !IsUnderscored(slot.name())) return true;
  // RFC 2782: the service comes first.
  std::swap(slot.tag_at, slot.name_at);
  std::swap(slot.tag_octets, slot.name_octets);
  ++slot.tag_at, --slot.tag_octets;
  ++slot.name_at, --slot.name_octets;
  if (slot.tag() == "tcp") slot.tag_octets = 0;
  return slot.name_octets > 0;
}

// False for what is not plain: HandleQuery reads it again.
bool ReadyAnswers::Read(Octets request, Slot& slot) const {
  slot.request = request;
  if (request.size() < kHeaderOctets + 5) return false;
  const uint16_t not_plain = kFlagQr | 0x7800;  // An opcode.
  if ((LoadU16(&request[2]) & not_plain) != 0 || LoadU16(&request[4]) != 1 ||
      LoadU32(&request[6]) != 0 || LoadU16(&request[10]) > 1) {
    return false;
  }
  std::array<uint8_t, kLabelsMax> label_offsets;
  size_t labels = 0;
  size_t at = kHeaderOctets;
  while (request[at] != 0) {
    if (labels == kLabelsMax || request[at] > kLabelOctetsMax) return false;
    label_offsets[labels++] = static_cast<uint8_t>(at - kHeaderOctets);
    at += request[at] + size_t{1};
    if (at >= request.size() || at - kHeaderOctets >= kQnameOctetsMax) return false;
  }
  const size_t qname_octets = at + 1 - kHeaderOctets;
  const size_t question_end = at + 5;
  if (question_end > request.size() ||
      LoadU16(&request[at + 3]) != static_cast<uint16_t>(RrClass::kIn)) {
    return false;
  }
  slot.qtype = static_cast<RrType>(LoadU16(&request[at + 1]));
  if (slot.qtype != RrType::kA && slot.qtype != RrType::kSrv) return false;
  slot.question_octets = static_cast<uint16_t>(question_end - kHeaderOctets);
  slot.edns = request[11] == 1;
  slot.dnssec_ok = false;
  size_t octets_max = kPlainUdpOctetsMax;
  if (slot.edns) {
    // Only an OPT record of version 0 without options.
    const Octets opt = request.subspan(question_end);
    if (opt.size() != kOptBaseOctets || opt[0] != 0 ||
        LoadU16(&opt[1]) != static_cast<uint16_t>(RrType::kOpt) || opt[6] != 0 ||
        LoadU16(&opt[9]) != 0) {
      return false;
    }
    octets_max = LoadU16(&opt[3]);
    slot.dnssec_ok = (opt[7] & 0x80) != 0;
  } else if (request.size() != question_end) {
    return false;
  }
  slot.limits = ReplyLimits::For(octets_max, transport_);
  LowerName(request.subspan(kHeaderOctets, qname_octets), slot.lower);
  return ReadName(slot, qname_octets, std::span(label_offsets).first(labels));
}

void ReadyAnswers::LookAhead(std::span<const Octets> requests, Transport transport,
                             const Snapshot& snapshot) {
  transport_ = transport;
  // Who has no catalog at all has no answers either.
  count_ = suffixes_.empty() || snapshot.index() == 0 ? 0 : std::min(requests.size(), kBatchMax);
  const std::span<Slot> slots = std::span(slots_).first(count_);
  for (size_t i = 0; i < count_; ++i) {
    Slot& slot = slots[i];
    slot.entry = nullptr;
    if (!Read(requests[i], slot)) {
      slot.suffix = nullptr;
      continue;
    }
    slot.service = snapshot.StartService(slot.name());
  }
  const auto each = [slots](auto stage) {
    for (Slot& slot : slots) {
      if (slot.suffix != nullptr) stage(slot);
    }
  };
  each([](Slot& slot) { Snapshot::PrefetchServiceShard(slot.service); });
  each([](Slot& slot) { Snapshot::PrefetchServiceSlot(slot.service); });
  each([](Slot& slot) {
    slot.entry = Snapshot::FindService(slot.name(), slot.service);
    if (slot.entry == nullptr) return;
    PrefetchLine(slot.entry);
    PrefetchLine(&slot.entry->ready);
  });
  each([&](const Slot& slot) {
    if (slot.entry == nullptr || !slot.entry->ready) return;
    slot.entry->ready->Prefetch();
    (slot.qtype == RrType::kA ? slot.entry->all.a : slot.entry->all.srv).Prefetch();
    slot.entry->all.everyone.Prefetch();
  });
}

size_t ReadyAnswers::Answer(size_t i, Random& random, AnswerScratch& scratch,
                            MutableOctets reply) const {
  if (i >= count_) return 0;
  const Slot& slot = slots_[i];
  if (slot.entry == nullptr || !slot.entry->ready) return 0;
  const registry::RecordSet* records =
      slot.tag_octets == 0 ? &slot.entry->all : slot.entry->FindTag(slot.tag());
  if (records == nullptr) return 0;
  return slot.qtype == RrType::kA ? AnswerAddresses(slot, *records, random, scratch, reply)
                                  : AnswerSrv(slot, *records, random, scratch, reply);
}

size_t ReadyAnswers::Room(const Slot& slot) {
  const size_t taken = kHeaderOctets + slot.question_octets + (slot.edns ? kOptBaseOctets : 0);
  return slot.limits.octets_max > taken ? slot.limits.octets_max - taken : 0;
}

size_t ReadyAnswers::AnswerAddresses(const Slot& slot, const registry::RecordSet& records,
                                     Random& random, AnswerScratch& scratch,
                                     MutableOctets reply) const {
  const registry::Include include = IncludeFor(*config_, records);
  const size_t available = records.a.Count(include);
  if (available == 0) return 0;
  const CountLimit limit = LimitCount(*config_, slot.limits, available, true);
  const size_t sampled = std::min(limit.count, Room(slot) / kARecordOctets);
  size_t count = sampled;
  if (limit.by_udp_limit) {
    const size_t qname_octets = slot.question_octets - size_t{4};
    const size_t uncompressed = qname_octets + kRecordFixedOctets + sizeof(ReadyRecords::AddressV4);
    const size_t fitting = UncompressedRoom(slot.question_octets) / uncompressed;
    count = std::min(count, std::max<size_t>(fitting, 1));
  }
  if (count == 0) return 0;
  const Population all{records.a.Get(include), records.a.WeightSums(include)};
  const std::span<const uint32_t> drawn = Sample(all, sampled, random, scratch).first(count);

  const uint32_t ttl_s = config_->service_ttls.Get(slot.name());
  const ReadyRecords& ready = *slot.entry->ready;
  uint8_t* at = &reply[kHeaderOctets + slot.question_octets];
  // What all records have before the address is kept in registers.
  const uint64_t start = RecordStart(kQnamePointer, RrType::kA, ttl_s);
  std::array<uint8_t, 4> middle;
  PutU16(PutU16(middle.data(), static_cast<uint16_t>(ttl_s)), sizeof(ReadyRecords::AddressV4));
  for (const uint32_t position : drawn) {
    const ReadyRecords::AddressV4 address = ready.v4(position);
    std::memcpy(at, &start, sizeof start);
    std::memcpy(at + sizeof start, middle.data(), middle.size());
    std::memcpy(at + sizeof start + middle.size(), address.data(), address.size());
    at += kARecordOctets;
  }
  return Finish(slot, count < WantedCount(*config_, available, true), count, 0, at, reply);
}

size_t ReadyAnswers::AnswerSrv(const Slot& slot, const registry::RecordSet& records, Random& random,
                               AnswerScratch& scratch, MutableOctets reply) const {
  const ReadyRecords& ready = *slot.entry->ready;
  const registry::Include include = IncludeFor(*config_, records);
  const size_t available = records.srv.Count(include);
  if (available == 0 || !ready.has_srv()) return 0;
  if (ready.has_node_meta() && config_->node_meta_txt) return 0;
  const CountLimit limit = LimitCount(*config_, slot.limits, available, false);
  // Then what fits is counted in other ways.
  if (limit.by_udp_limit) return 0;
  const Random before = random;
  const Population all{records.srv.Get(include), records.srv.WeightSums(include)};
  const std::span<const uint32_t> drawn = Sample(all, limit.count, random, scratch);

  const Octets node_suffix = slot.suffix->zone->node_suffix.wire();
  const Octets addr_suffix = slot.suffix->zone->addr_suffix.wire();
  const size_t fixed = kPointerOctets + kRecordFixedOctets;
  std::array<ReadyRecords::Srv, ReadyRecords::kSrvInstancesMax> shown;
  std::array<uint16_t, ReadyRecords::kSrvInstancesMax> target_offsets;
  uint64_t targets_seen = 0;
  size_t octets = 0;
  for (size_t i = 0; i < drawn.size(); ++i) {
    const ReadyRecords::Srv& srv = shown[i] = ready.srv(drawn[i]);
    const size_t target = srv.labels.size() + (srv.is_node ? node_suffix : addr_suffix).size();
    const uint64_t bit = uint64_t{1} << srv.target_index;
    octets += fixed + kSrvFixedOctets + target;
    if ((targets_seen & bit) == 0) octets += fixed + srv.address.size();
    targets_seen |= bit;
    if (target > kNameOctetsMax || octets > Room(slot)) {
      random = before;
      return 0;
    }
  }
  const uint32_t ttl_s = config_->service_ttls.Get(slot.name());
  uint8_t* at = &reply[kHeaderOctets + slot.question_octets];
  for (size_t i = 0; i < drawn.size(); ++i) {
    const ReadyRecords::Srv& srv = shown[i];
    const Octets suffix = srv.is_node ? node_suffix : addr_suffix;
    at = PutRecordHead(at, kQnamePointer, RrType::kSrv, ttl_s);
    at = PutU16(at, static_cast<uint16_t>(kSrvFixedOctets + srv.labels.size() + suffix.size()));
    at = PutU16(at, 1);  // Priority: every instance is as good as any other.
    at = PutU16(PutU16(at, srv.weight), srv.port);
    target_offsets[i] = static_cast<uint16_t>(at - reply.data());
    at = Put(Put(at, srv.labels), suffix);
  }
  size_t additional = 0;
  for (size_t i = 0; i < drawn.size(); ++i) {
    const ReadyRecords::Srv& srv = shown[i];
    const uint64_t bit = uint64_t{1} << srv.target_index;
    if ((targets_seen & bit) == 0) continue;  // The target has its address already.
    targets_seen &= ~bit;
    const bool v4 = srv.address.size() == sizeof(ReadyRecords::AddressV4);
    at = PutRecordHead(at, static_cast<uint16_t>(0xc000 | target_offsets[i]),
                       v4 ? RrType::kA : RrType::kAaaa, ttl_s);
    at = Put(PutU16(at, static_cast<uint16_t>(srv.address.size())), srv.address);
    ++additional;
  }
  return Finish(slot, drawn.size() < available, drawn.size(), additional, at, reply);
}

size_t ReadyAnswers::Finish(const Slot& slot, bool cut, size_t answers, size_t additional,
                            uint8_t* end, MutableOctets reply) const {
  std::memcpy(reply.data(), slot.request.data(), kHeaderOctets + slot.question_octets);
  const uint16_t flags =
      static_cast<uint16_t>((LoadU16(&slot.request[2]) & (kFlagRd | kFlagCd)) | kFlagQr | kFlagAa |
                            (cut && config_->enable_truncate ? kFlagTc : 0) |
                            (config_->recursion_available ? kFlagRa : 0));
  StoreU16(&reply[2], flags);
  StoreU16(&reply[6], static_cast<uint16_t>(answers));
  StoreU16(&reply[8], 0);
  StoreU16(&reply[10], static_cast<uint16_t>(additional + (slot.edns ? 1 : 0)));
  if (slot.edns) end = WriteBareOpt(slot.dnssec_ok, end);
  return static_cast<size_t>(end - reply.data());
}

}  // namespace pharos::dns
