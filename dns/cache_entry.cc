#include "dns/cache_entry.h"

#include <algorithm>
#include <limits>
#include <new>
#include <vector>

#include "base/check.h"

namespace pharos::dns {
namespace {

// In place of an owner's wire form; the high bits keep them apart from any label's length.
constexpr uint8_t kOwnerIsQname = 0xc0;
constexpr uint8_t kOwnerAsBefore = 0xc1;
// A pointer and a hash in the index, at its usual load.
constexpr size_t kIndexOctets = 16;

uint8_t FlagsOf(const UpstreamQuestion& question) {
  return static_cast<uint8_t>((question.recursion_desired ? 1 : 0) |
                              (question.checking_disabled ? 2 : 0) | (question.dnssec_ok ? 4 : 0));
}

void PutU16(size_t value, std::vector<uint8_t>& target) {
  target.push_back(static_cast<uint8_t>(value >> 8));
  target.push_back(static_cast<uint8_t>(value));
}

void Put(Octets source, std::vector<uint8_t>& target) {
  target.insert(target.end(), source.begin(), source.end());
}

void EncodeSection(const std::vector<Record>& records, const Name& qname, uint32_t ttl_max_s,
                   std::vector<uint8_t>& target) {
  PutU16(records.size(), target);
  const Record* before = nullptr;
  for (const Record& record : records) {
    if (record.owner == qname) {
      target.push_back(kOwnerIsQname);
    } else if (before != nullptr && record.owner == before->owner) {
      target.push_back(kOwnerAsBefore);
    } else {
      Put(record.owner.wire(), target);
    }
    PutU16(static_cast<uint16_t>(record.type), target);
    PutU16(static_cast<uint16_t>(record.rr_class), target);
    const uint32_t ttl_s = std::min(record.ttl_s, ttl_max_s);
    PutU16(ttl_s >> 16, target);
    PutU16(ttl_s & 0xffff, target);
    PutU16(record.rdata.size(), target);
    Put(record.rdata, target);
    before = &record;
  }
}

// The octets are our own, so they are as EncodeSection wrote them.
void DecodeSection(Octets octets, size_t& offset, const Name& qname, uint32_t age_s,
                   uint32_t ttl_min_s, uint32_t ttl_max_s, std::vector<Record>& records) {
  ByteReader count(octets, offset);
  records.resize(count.U16());
  offset = count.offset();
  const Name* before = &qname;
  for (Record& record : records) {
    const uint8_t tag = octets[offset];
    if (tag == kOwnerIsQname || tag == kOwnerAsBefore) {
      record.owner = tag == kOwnerIsQname ? qname : *before;
      ++offset;
    } else {
      const std::optional<size_t> past = ReadName(octets, offset, record.owner);
      CHECK(past.has_value());
      offset = *past;
    }
    ByteReader reader(octets, offset);
    record.type = static_cast<RrType>(reader.U16());
    record.rr_class = static_cast<RrClass>(reader.U16());
    const uint32_t ttl_s = reader.U32();
    record.ttl_s = std::clamp(ttl_s > age_s ? ttl_s - age_s : 0, ttl_min_s, ttl_max_s);
    const Octets rdata = reader.Take(reader.U16());
    record.rdata.assign(rdata.begin(), rdata.end());
    CHECK(reader.ok());
    offset = reader.offset();
    before = &record.owner;
  }
}

}  // namespace

void CacheEntry::Free::operator()(CacheEntry* entry) const {
  entry->~CacheEntry();
  ::operator delete(entry);
}

CacheEntry::Owned CacheEntry::Make(const UpstreamQuestion& question, const UpstreamAnswer& answer,
                                   absl::Time now, absl::Duration lifetime, uint32_t ttl_max_s) {
  std::vector<uint8_t> encoded;
  Put(question.qname.Lower().wire(), encoded);
  EncodeSection(answer.answer, question.qname, ttl_max_s, encoded);
  EncodeSection(answer.authority, question.qname, ttl_max_s, encoded);
  EncodeSection(answer.additional, question.qname, ttl_max_s, encoded);

  void* memory = ::operator new(sizeof(CacheEntry) + encoded.size());
  Owned entry(new (memory) CacheEntry());
  std::ranges::copy(encoded, static_cast<uint8_t*>(memory) + sizeof(CacheEntry));
  entry->octets_count_ = static_cast<uint32_t>(encoded.size());
  entry->qname_octets_ = static_cast<uint8_t>(question.qname.size());
  entry->flags_ = FlagsOf(question);
  entry->qtype = question.qtype;
  entry->qclass = question.qclass;
  entry->authentic_data_ = answer.authentic_data;
  entry->rcode_ = answer.rcode;
  entry->stored = now;
  entry->expires = now + lifetime;
  return entry;
}

size_t CacheEntry::cost_octets() const { return sizeof(CacheEntry) + octets_count_ + kIndexOctets; }

bool CacheEntry::Matches(const UpstreamQuestion& question) const {
  const auto same = [](uint8_t lower, uint8_t octet) { return lower == LowerOctet(octet); };
  return qtype == question.qtype && qclass == question.qclass && flags_ == FlagsOf(question) &&
         std::ranges::equal(qname(), question.qname.wire(), same);
}

void CacheEntry::Decode(const UpstreamQuestion& question, absl::Duration age, uint32_t ttl_min_s,
                        uint32_t ttl_max_s, UpstreamAnswer& answer) const {
  answer.rcode = rcode_;
  answer.authentic_data = authentic_data_;
  answer.authoritative = false;
  answer.stale = false;
  const uint32_t age_s = static_cast<uint32_t>(
      std::clamp<int64_t>(absl::ToInt64Seconds(age), 0, std::numeric_limits<uint32_t>::max()));
  size_t offset = qname_octets_;
  for (std::vector<Record>* section : {&answer.answer, &answer.authority, &answer.additional}) {
    DecodeSection(octets(), offset, question.qname, age_s, ttl_min_s, ttl_max_s, *section);
  }
}

}  // namespace pharos::dns
