#include "dns/rdata.h"

#include "dns/name.h"

namespace pharos::dns {
namespace {

bool HasAddressLength(RrType type, RrClass rr_class, size_t octets) {
  if (rr_class != RrClass::kIn) return true;
  if (type == RrType::kA) return octets == 4;
  if (type == RrType::kAaaa) return octets == 16;
  return true;
}

void Append(Octets source, std::vector<uint8_t>& target) {
  target.insert(target.end(), source.begin(), source.end());
}

}  // namespace

RdataShape RdataShapeOf(RrType type) {
  switch (static_cast<uint16_t>(type)) {
    case 2:   // NS
    case 3:   // MD
    case 4:   // MF
    case 5:   // CNAME
    case 7:   // MB
    case 8:   // MG
    case 9:   // MR
    case 12:  // PTR
    case 30:  // NXT
    case 39:  // DNAME
      return {.octets_before = 0, .names = 1};
    case 6:   // SOA
    case 14:  // MINFO
    case 17:  // RP
      return {.octets_before = 0, .names = 2};
    case 15:  // MX
    case 18:  // AFSDB
    case 21:  // RT
    case 36:  // KX
      return {.octets_before = 2, .names = 1};
    case 24:  // SIG
      return {.octets_before = 18, .names = 1};
    case 26:  // PX
      return {.octets_before = 2, .names = 2};
    case 33:  // SRV
      return {.octets_before = 6, .names = 1};
    case 35:  // NAPTR
      return {.octets_before = 4, .names = 1, .strings_before = 3};
    default:
      return {};
  }
}

bool ReadRdata(Octets message, size_t offset, size_t rdata_octets, RrType type, RrClass rr_class,
               std::vector<uint8_t>& rdata) {
  rdata.clear();
  if (offset > message.size() || rdata_octets > message.size() - offset) return false;
  if (!HasAddressLength(type, rr_class, rdata_octets)) return false;
  const size_t end = offset + rdata_octets;
  const RdataShape shape = RdataShapeOf(type);
  // A name may point anywhere before it, but nothing of this record lies past its end.
  const Octets until_end = message.first(end);
  if (shape.names > 0) {
    ByteReader reader(until_end, offset);
    reader.Take(shape.octets_before);
    for (int i = 0; i < shape.strings_before; ++i) reader.Take(reader.U8());
    if (!reader.ok()) return false;
    Append(until_end.subspan(offset, reader.offset() - offset), rdata);
    offset = reader.offset();
    for (int i = 0; i < shape.names; ++i) {
      Name name;
      const std::optional<size_t> past = ReadName(until_end, offset, name);
      if (!past) return false;
      Append(name.wire(), rdata);
      offset = *past;
    }
  }
  Append(until_end.subspan(offset), rdata);
  // SOA goes on with five numbers (RFC 1035 section 3.3.13); the cache reads the last.
  return type != RrType::kSoa || end - offset == 20;
}

}  // namespace pharos::dns
