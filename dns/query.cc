#include "dns/query.h"

namespace pharos::dns {
namespace {

constexpr uint16_t kOptionClientSubnet = 8;  // RFC 7871 section 6.
constexpr size_t kClientSubnetOctetsMax = 20;

// Finds the client subnet among the options of an OPT record; false if they are malformed.
bool ReadOptions(Octets options, Edns& edns) {
  ByteReader reader(options);
  while (reader.remaining() > 0) {
    const uint16_t code = reader.U16();
    const Octets data = reader.Take(reader.U16());
    if (!reader.ok()) return false;
    if (code != kOptionClientSubnet) continue;
    // Family, two prefix lengths, at most 16 octets of address; we repeat it in the reply, so what
    // is longer would let a query choose how long our answer is.
    if (data.size() < 4 || data.size() > kClientSubnetOctetsMax) return false;
    edns.client_subnet = data;
  }
  return true;
}

// Reads one record behind the question. Only OPT means anything in a query; a second one is an
// error (RFC 6891 section 6.1.1).
bool ReadRecord(Octets message, size_t& offset, bool additional, Query& query) {
  Name owner;
  const std::optional<size_t> after_owner = ReadName(message, offset, owner);
  if (!after_owner) return false;
  ByteReader reader(message, *after_owner);
  const auto type = static_cast<RrType>(reader.U16());
  const uint16_t rr_class = reader.U16();
  const uint32_t ttl = reader.U32();
  const Octets rdata = reader.Take(reader.U16());
  if (!reader.ok()) return false;
  offset = reader.offset();
  if (type != RrType::kOpt) return true;
  if (!additional || query.edns || !owner.is_root()) return false;
  query.edns.emplace();
  query.edns->udp_octets = rr_class;
  query.edns->version = static_cast<uint8_t>(ttl >> 16);
  query.edns->dnssec_ok = (ttl & 0x8000) != 0;
  return ReadOptions(rdata, *query.edns);
}

}  // namespace

ParseResult ParseQuery(Octets message, Query& query) {
  if (message.size() < kHeaderOctets) return ParseResult::kDrop;
  const uint16_t flags = LoadU16(&message[2]);
  if ((flags & kFlagQr) != 0) return ParseResult::kDrop;
  query.id = LoadU16(&message[0]);
  query.opcode = static_cast<uint8_t>((flags >> 11) & 0x0f);
  query.recursion_desired = (flags & kFlagRd) != 0;
  query.checking_disabled = (flags & kFlagCd) != 0;
  query.edns.reset();
  if (query.opcode != static_cast<uint8_t>(Opcode::kQuery)) return ParseResult::kNotImp;

  const uint16_t question_count = LoadU16(&message[4]);
  const uint16_t answer_count = LoadU16(&message[6]);
  const uint16_t authority_count = LoadU16(&message[8]);
  const uint16_t additional_count = LoadU16(&message[10]);
  // RFC 9619: a query has one question. What else a query may carry is a record or two (an OPT, a
  // TSIG, the SOA of an IXFR); more is somebody's mistake or attack.
  if (question_count != 1 || answer_count > 1 || authority_count > 1 || additional_count > 2) {
    return ParseResult::kFormErr;
  }
  const std::optional<size_t> after_name = ReadName(message, kHeaderOctets, query.qname);
  if (!after_name || message.size() - *after_name < 4) return ParseResult::kFormErr;
  query.qtype = static_cast<RrType>(LoadU16(&message[*after_name]));
  query.qclass = static_cast<RrClass>(LoadU16(&message[*after_name + 2]));
  size_t offset = *after_name + 4;
  query.question = message.subspan(kHeaderOctets, offset - kHeaderOctets);

  const int before_additional = answer_count + authority_count;
  for (int i = 0; i < before_additional + additional_count; ++i) {
    if (!ReadRecord(message, offset, i >= before_additional, query)) return ParseResult::kFormErr;
  }
  return ParseResult::kQuery;
}

}  // namespace pharos::dns
