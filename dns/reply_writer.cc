#include "dns/reply_writer.h"

#include <algorithm>

namespace pharos::dns {
namespace {

constexpr size_t kPointerTargetMax = 0x3fff;

}  // namespace

ReplyWriter::ReplyWriter(const Query& query, MutableOctets buffer, size_t octets_max,
                         bool compression)
    : query_(query),
      opt_(query),
      writer_(buffer.first(std::min(octets_max, buffer.size()))),
      compression_(compression) {
  writer_.Rewind(kHeaderOctets);
  writer_.Append(query.question);
  records_offset_ = writer_.offset();
}

size_t ReplyWriter::Room() const {
  return writer_.remaining() > opt_.octets() ? writer_.remaining() - opt_.octets() : 0;
}

NameParts ReplyWriter::QnameOwner() const { return QnameSuffix(0); }

NameParts ReplyWriter::QnameSuffix(size_t wire_offset) const {
  return {.labels = {},
          .suffix = query_.qname.wire().subspan(wire_offset),
          .suffix_offset = static_cast<uint16_t>(kHeaderOctets + wire_offset)};
}

void ReplyWriter::WriteName(const NameParts& name, bool compress) {
  compress = compress && compression_;
  if (compress && name.whole_offset != 0) {
    writer_.U16(static_cast<uint16_t>(0xc000 | name.whole_offset));
    return;
  }
  writer_.Append(name.labels);
  if (compress && name.suffix_offset != 0 && name.suffix.size() > 1) {
    writer_.U16(static_cast<uint16_t>(0xc000 | name.suffix_offset));
  } else {
    writer_.Append(name.suffix);
  }
}

bool ReplyWriter::BeginRecord(RrType type, const NameParts& owner, uint32_t ttl_s) {
  WriteName(owner, true);
  writer_.U16(static_cast<uint16_t>(type));
  writer_.U16(static_cast<uint16_t>(RrClass::kIn));
  writer_.U32(ttl_s);
  writer_.U16(0);  // RDLENGTH, known at the end.
  return writer_.ok();
}

bool ReplyWriter::EndRecord(Section section, size_t record_offset, size_t rdata_offset) {
  if (!writer_.ok() || writer_.remaining() < opt_.octets()) {
    writer_.Rewind(record_offset);
    return false;
  }
  StoreU16(writer_.at(rdata_offset - 2), static_cast<uint16_t>(writer_.offset() - rdata_offset));
  ++counts_[static_cast<size_t>(section)];
  return true;
}

bool ReplyWriter::AddRecord(Section section, RrType type, const NameParts& owner, uint32_t ttl_s,
                            Octets rdata) {
  const size_t start = writer_.offset();
  BeginRecord(type, owner, ttl_s);
  const size_t rdata_offset = writer_.offset();
  writer_.Append(rdata);
  return EndRecord(section, start, rdata_offset);
}

bool ReplyWriter::AddAddress(Section section, const NameParts& owner, Octets address,
                             uint32_t ttl_s) {
  return AddRecord(section, address.size() == 4 ? RrType::kA : RrType::kAaaa, owner, ttl_s,
                   address);
}

bool ReplyWriter::AddSrv(const NameParts& owner, uint32_t ttl_s, uint16_t weight, uint16_t port,
                         const NameParts& target) {
  const size_t start = writer_.offset();
  BeginRecord(RrType::kSrv, owner, ttl_s);
  const size_t rdata_offset = writer_.offset();
  writer_.U16(1);  // Priority: every instance is as good as any other.
  writer_.U16(weight);
  writer_.U16(port);
  const size_t target_offset = writer_.offset();
  WriteName(target, false);  // RFC 2782: not compressed.
  last_target_offset_ =
      target_offset <= kPointerTargetMax ? static_cast<uint16_t>(target_offset) : uint16_t{0};
  return EndRecord(Section::kAnswer, start, rdata_offset);
}

bool ReplyWriter::AddNameRecord(Section section, RrType type, const NameParts& owner,
                                uint32_t ttl_s, const NameParts& target) {
  const size_t start = writer_.offset();
  BeginRecord(type, owner, ttl_s);
  const size_t rdata_offset = writer_.offset();
  WriteName(target, true);
  last_target_offset_ =
      rdata_offset <= kPointerTargetMax ? static_cast<uint16_t>(rdata_offset) : uint16_t{0};
  return EndRecord(section, start, rdata_offset);
}

void ReplyWriter::Rewind(const Mark& mark) {
  writer_.Rewind(mark.offset);
  counts_ = mark.counts;
}

void ReplyWriter::Reset() { Rewind({records_offset_, {}}); }

size_t ReplyWriter::Finish(Rcode rcode, uint16_t flags) {
  opt_.Write(rcode, writer_);
  WriteHeader(query_, rcode, flags, counts_, writer_);
  return writer_.offset();
}

}  // namespace pharos::dns
