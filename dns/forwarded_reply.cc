#include "dns/forwarded_reply.h"

#include <algorithm>
#include <array>

#include "dns/name_compressor.h"
#include "dns/rdata.h"
#include "dns/reply_frame.h"

namespace pharos::dns {
namespace {

// RFC 3597 section 4: only the types of RFC 1035 may have compressed names. Those that still occur.
bool MayCompressRdata(RrType type) {
  return type == RrType::kNs || type == RrType::kCname || type == RrType::kSoa ||
         type == RrType::kPtr || type == RrType::kMx;
}

bool SameRrset(const Record& a, const Record& b) {
  return a.type == b.type && a.rr_class == b.rr_class && a.owner == b.owner;
}

class ForwardedReply {
 public:
  ForwardedReply(const Query& query, MutableOctets reply, size_t octets_max, bool compression)
      : query_(query),
        compression_(compression),
        opt_(query),
        writer_(reply.first(std::min(octets_max, reply.size()))) {
    writer_.Rewind(kHeaderOctets);
    writer_.Append(query.question);
    if (!query.question.empty()) compressor_.Remember(query.qname.wire(), kHeaderOctets);
  }

  void SetError(const ExtendedError& error) { opt_.SetError(error); }

  // Writes as many whole RRsets of a section as fit; false if not all did.
  bool AddSection(size_t section, const std::vector<Record>& records) {
    size_t begin = 0;
    while (begin < records.size()) {
      size_t end = begin + 1;
      while (end < records.size() && SameRrset(records[begin], records[end])) ++end;
      if (!AddRrset(section, std::span(records).subspan(begin, end - begin))) return false;
      begin = end;
    }
    return true;
  }

  size_t Finish(Rcode rcode, uint16_t flags) {
    opt_.Write(rcode, writer_);
    WriteHeader(query_, rcode, flags, counts_, writer_);
    return writer_.offset();
  }

 private:
  bool AddRrset(size_t section, std::span<const Record> records) {
    const size_t start = writer_.offset();
    for (const Record& record : records) AddRecord(record);
    if (!writer_.ok() || writer_.remaining() < opt_.octets()) {
      writer_.Rewind(start);
      compressor_.Rewind(start);
      return false;
    }
    counts_[section] = static_cast<uint16_t>(counts_[section] + records.size());
    return true;
  }

  void AddRecord(const Record& record) {
    WriteName(record.owner);
    writer_.U16(static_cast<uint16_t>(record.type));
    writer_.U16(static_cast<uint16_t>(record.rr_class));
    writer_.U32(record.ttl_s);
    writer_.U16(0);  // RDLENGTH, known at the end.
    const size_t rdata_offset = writer_.offset();
    AddRdata(record);
    if (!writer_.ok()) return;
    StoreU16(writer_.at(rdata_offset - 2), static_cast<uint16_t>(writer_.offset() - rdata_offset));
  }

  void AddRdata(const Record& record) {
    if (!MayCompressRdata(record.type)) return writer_.Append(record.rdata);
    const RdataShape shape = RdataShapeOf(record.type);
    ByteReader reader(record.rdata);
    writer_.Append(reader.Take(shape.octets_before));
    for (int i = 0; i < shape.names; ++i) {
      Name name;
      const std::optional<size_t> past = ReadName(record.rdata, reader.offset(), name);
      if (!past) break;
      WriteName(name);
      reader.Take(*past - reader.offset());
    }
    writer_.Append(reader.Take(reader.remaining()));
  }

  void WriteName(const Name& name) {
    if (compression_) return compressor_.Write(name.wire(), writer_);
    writer_.Append(name.wire());
  }

  const Query& query_;
  const bool compression_;
  ReplyOpt opt_;
  ByteWriter writer_;
  NameCompressor compressor_;
  std::array<uint16_t, 3> counts_{};
};

}  // namespace

size_t WriteForwardedReply(const Query& query, const UpstreamAnswer& answer, size_t octets_max,
                           MutableOctets reply, bool compression) {
  ForwardedReply writer(query, reply, octets_max, compression);
  const bool explain =
      answer.rcode != Rcode::kServFail || (query.edns && query.edns->reply.explain_failure);
  if (answer.extended_error && explain) writer.SetError(*answer.extended_error);
  const bool answer_whole = writer.AddSection(0, answer.answer);
  const bool authority_whole = answer_whole && writer.AddSection(1, answer.authority);
  if (authority_whole) writer.AddSection(2, answer.additional);

  const bool dnssec = query.edns && query.edns->dnssec_ok;
  const bool negative = answer.rcode == Rcode::kNxDomain || answer.answer.empty();
  const bool truncated = !answer_whole || (!authority_whole && (negative || dnssec));
  const uint16_t flags =
      static_cast<uint16_t>(kFlagRa | (answer.authoritative ? kFlagAa : 0) |
                            (answer.authentic_data ? kFlagAd : 0) | (truncated ? kFlagTc : 0));
  // Without OPT there is no place for the upper bits of an rcode (RFC 6891 section 6.1.3).
  const bool fits = query.edns || static_cast<uint16_t>(answer.rcode) < 16;
  return writer.Finish(fits ? answer.rcode : Rcode::kServFail, flags);
}

}  // namespace pharos::dns
