#include "dns/upstream_message.h"

#include <algorithm>

#include "dns/rdata.h"

namespace pharos::dns {
namespace {

constexpr uint16_t kDnssecOk = 0x8000;
constexpr uint16_t kOptionPadding = 12;
constexpr size_t kOptionHeaderOctets = 4;
constexpr uint32_t kTtlMax = 0x7fffffff;

bool SameOctets(Octets a, Octets b) { return std::ranges::equal(a, b); }

// Whether the header and the question are those of a reply to `query`, letter case aside; the
// question's spelling goes into `qname`, and where the records begin is returned.
std::optional<size_t> MatchQuestion(const UpstreamQuery& query, Octets message, Name& qname) {
  if (message.size() < kHeaderOctets) return std::nullopt;
  const uint16_t flags = LoadU16(&message[2]);
  const bool is_reply = (flags & kFlagQr) != 0 && (flags >> 11 & 0x0f) == 0;
  if (!is_reply || LoadU16(&message[0]) != query.id) return std::nullopt;
  const uint16_t questions = LoadU16(&message[4]);
  // Servers that could not read the query at all give the header alone.
  if (questions == 0 && (flags & 0x0f) != 0) {
    qname = query.spelled;
    return kHeaderOctets;
  }
  const std::optional<size_t> past_name = ReadName(message, kHeaderOctets, qname);
  if (questions != 1 || !past_name || message.size() - *past_name < 4) return std::nullopt;
  // There is nothing before the question that its name could be compressed onto.
  if (*past_name != kHeaderOctets + qname.size()) return std::nullopt;
  const bool same =
      qname == query.spelled &&
      LoadU16(&message[*past_name]) == static_cast<uint16_t>(query.question.qtype) &&
      LoadU16(&message[*past_name + 2]) == static_cast<uint16_t>(query.question.qclass);
  return same ? std::optional(*past_name + 4) : std::nullopt;
}

// Reads records one behind the other.
class RecordReader {
 public:
  RecordReader(Octets message, size_t offset) : message_(message), offset_(offset) {}

  // Reads `count` records into `records`; OPT records are not records of the reply but say more
  // about it (RFC 6891 section 6.1).
  bool ReadSection(size_t count, std::vector<Record>& records) {
    if (count > kUpstreamRecordsMax - read_) return false;
    read_ += count;
    for (size_t i = 0; i < count; ++i) {
      Record record;
      if (!Read(record)) return false;
      if (record.type == RrType::kOpt) {
        if (has_opt_ || !record.owner.is_root()) return false;
        has_opt_ = true;
        extended_rcode_ = static_cast<uint8_t>(record.ttl_s >> 24);
        continue;
      }
      // A TTL with its highest bit set is zero (RFC 2181 section 8).
      if (record.ttl_s > kTtlMax) record.ttl_s = 0;
      records.push_back(std::move(record));
    }
    return true;
  }
  uint8_t extended_rcode() const { return extended_rcode_; }

 private:
  bool Read(Record& record) {
    const std::optional<size_t> past_owner = ReadName(message_, offset_, record.owner);
    if (!past_owner) return false;
    ByteReader reader(message_, *past_owner);
    record.type = static_cast<RrType>(reader.U16());
    record.rr_class = static_cast<RrClass>(reader.U16());
    record.ttl_s = reader.U32();
    const uint16_t rdata_octets = reader.U16();
    const size_t rdata_offset = reader.offset();
    reader.Take(rdata_octets);
    if (!reader.ok()) return false;
    offset_ = reader.offset();
    return ReadRdata(message_, rdata_offset, rdata_octets, record.type, record.rr_class,
                     record.rdata);
  }

  Octets message_;
  size_t offset_;
  size_t read_ = 0;
  bool has_opt_ = false;
  uint8_t extended_rcode_ = 0;
};

bool ReadRecords(Octets message, size_t offset, UpstreamAnswer& answer) {
  RecordReader reader(message, offset);
  if (!reader.ReadSection(LoadU16(&message[6]), answer.answer) ||
      !reader.ReadSection(LoadU16(&message[8]), answer.authority) ||
      !reader.ReadSection(LoadU16(&message[10]), answer.additional)) {
    return false;
  }
  const uint16_t rcode = LoadU16(&message[2]) & 0x0f;
  answer.rcode = static_cast<Rcode>(rcode | reader.extended_rcode() << 4);
  return true;
}

// `name` with its suffix `from` replaced by `to` (RFC 6672 section 2.2); nullopt if that is too
// long.
std::optional<Name> Substitute(const Name& name, const Name& from, const Name& to) {
  const Octets labels = name.wire().first(name.size() - from.size());
  std::vector<uint8_t> wire(labels.begin(), labels.end());
  wire.insert(wire.end(), to.wire().begin(), to.wire().end());
  return Name::FromWire(wire);
}

// The names an answer is about, in the order they are reached.
class Chain {
 public:
  explicit Chain(const Name& qname) { names_.push_back(qname); }

  void Add(const std::optional<Name>& name) {
    if (!name || names_.size() == kChainNamesMax) return;
    if (std::ranges::find(names_, *name) == names_.end()) names_.push_back(*name);
  }
  // Whether the record belongs to the name at `position`; names that it leads to are added.
  bool Follow(size_t position, const Record& record) {
    const Name& name = names_[position];
    if (record.owner == name) {
      if (record.type == RrType::kCname) Add(Name::FromWire(record.rdata));
      return true;
    }
    const bool above = name.size() > record.owner.size() && name.IsAtOrBelow(record.owner);
    if (!above || (record.type != kTypeDname && record.type != kTypeRrsig)) return false;
    if (record.type == kTypeDname) {
      const std::optional<Name> target = Name::FromWire(record.rdata);
      if (target) Add(Substitute(name, record.owner, *target));
      return true;
    }
    // A signature over a DNAME goes with it: its RDATA begins with the type it covers.
    return record.rdata.size() >= 2 && LoadU16(record.rdata.data()) == uint16_t{39};
  }
  size_t size() const { return names_.size(); }

 private:
  std::vector<Name> names_;
};

// OPT's RDATA: nothing, or one option that fills up the block.
void WritePadding(bool padded, ByteWriter& writer) {
  if (!padded) return writer.U16(0);
  const size_t unpadded = writer.offset() + 2 + kOptionHeaderOctets;
  const size_t octets =
      (kPaddingBlockOctets - unpadded % kPaddingBlockOctets) % kPaddingBlockOctets;
  writer.U16(static_cast<uint16_t>(kOptionHeaderOctets + octets));
  writer.U16(kOptionPadding);
  writer.U16(static_cast<uint16_t>(octets));
  for (size_t i = 0; i < octets; ++i) writer.U8(0);
}

}  // namespace

UpstreamQuery MakeUpstreamQuery(const UpstreamQuestion& question, const QuerySecret& secret,
                                bool edns) {
  UpstreamQuery query{
      .question = question, .id = LoadU16(secret.id.data()), .spelled = {}, .edns = edns};
  std::array<uint8_t, kNameOctetsMax> spelled;
  const Octets wire = question.qname.wire();
  for (size_t i = 0; i < wire.size(); ++i) {
    // A length octet is at most 63, below 'A', so it is never taken for a letter.
    const uint8_t lower = LowerOctet(wire[i]);
    const bool letter = lower >= 'a' && lower <= 'z';
    const bool upper = letter && (secret.letter_case[i / 8] >> (i % 8) & 1) != 0;
    spelled[i] = upper ? static_cast<uint8_t>(lower - 32) : lower;
  }
  query.spelled = *Name::FromWire(Octets(spelled).first(wire.size()));
  return query;
}

size_t WriteUpstreamQuery(const UpstreamQuery& query, MutableOctets message) {
  ByteWriter writer(message);
  writer.U16(query.id);
  writer.U16(static_cast<uint16_t>((query.question.recursion_desired ? kFlagRd : 0) |
                                   (query.question.checking_disabled ? kFlagCd : 0)));
  writer.U16(1);
  writer.U16(0);
  writer.U16(0);
  writer.U16(query.edns ? 1 : 0);
  writer.Append(query.spelled.wire());
  writer.U16(static_cast<uint16_t>(query.question.qtype));
  writer.U16(static_cast<uint16_t>(query.question.qclass));
  if (query.edns) {
    writer.U8(0);  // Root owner.
    writer.U16(static_cast<uint16_t>(RrType::kOpt));
    writer.U16(kUpstreamUdpOctets);
    writer.U16(0);  // Extended rcode and version.
    writer.U16(query.question.dnssec_ok ? kDnssecOk : 0);
    WritePadding(query.padded, writer);
  }
  return writer.offset();
}

ReplyKind ReadUpstreamReply(const UpstreamQuery& query, Transport transport, MutableOctets message,
                            UpstreamAnswer& answer) {
  Name qname;
  const std::optional<size_t> records_offset = MatchQuestion(query, message, qname);
  if (!records_offset) return ReplyKind::kMismatch;
  const uint16_t flags = LoadU16(&message[2]);
  if (transport == Transport::kUdp) {
    if (!SameOctets(qname.wire(), query.spelled.wire())) return ReplyKind::kWrongCase;
    if ((flags & kFlagTc) != 0) return ReplyKind::kTruncated;
  }
  if (*records_offset > kHeaderOctets) {
    std::ranges::copy(query.question.qname.wire(), message.begin() + kHeaderOctets);
  }
  answer = UpstreamAnswer();
  if (!ReadRecords(message, *records_offset, answer)) {
    answer = UpstreamAnswer();
    return ReplyKind::kMalformed;
  }
  answer.authoritative = (flags & kFlagAa) != 0;
  answer.authentic_data = (flags & kFlagAd) != 0;
  KeepChain(query.question.qname, answer.answer);
  return ReplyKind::kAnswer;
}

void KeepChain(const Name& qname, std::vector<Record>& answer) {
  Chain chain(qname);
  std::vector<bool> kept(answer.size());
  for (size_t position = 0; position < chain.size(); ++position) {
    for (size_t i = 0; i < answer.size(); ++i) {
      if (chain.Follow(position, answer[i])) kept[i] = true;
    }
  }
  size_t count = 0;
  for (size_t i = 0; i < answer.size(); ++i) {
    if (!kept[i]) continue;
    if (count != i) answer[count] = std::move(answer[i]);
    ++count;
  }
  answer.erase(answer.begin() + static_cast<ptrdiff_t>(count), answer.end());
}

}  // namespace pharos::dns
