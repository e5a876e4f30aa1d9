#include "dns/query.h"

#include "dns/client_subnet.h"

namespace pharos::dns {
namespace {

// Reads the options of an OPT record (IANA "DNS EDNS0 Option Codes"); false if they are malformed.
// Those not named here, padding (RFC 7830) among them, mean nothing to us (RFC 6891 section 6.1.2).
bool ReadOptions(Octets options, Edns& edns) {
  ByteReader reader(options);
  while (reader.remaining() > 0) {
    const auto code = static_cast<EdnsOption>(reader.U16());
    const Octets data = reader.Take(reader.U16());
    if (!reader.ok()) return false;
    edns.has_options = edns.has_options || code != EdnsOption::kClientSubnet;
    switch (code) {
      case EdnsOption::kNsid:
        edns.wants_nsid = true;
        break;
      case EdnsOption::kClientSubnet:
        if (!IsClientSubnet(data)) return false;
        edns.client_subnet = data;
        break;
      case EdnsOption::kCookie:
        if (!IsCookieLength(data.size())) return false;
        // Of several the first one counts (RFC 7873 section 5.2).
        if (edns.cookie.empty()) edns.cookie = data;
        break;
      case EdnsOption::kTcpKeepalive:
        edns.wants_keepalive = true;
        break;
      default:
        break;
    }
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
  Edns& edns = query.edns.emplace();
  edns.udp_octets = rr_class;
  edns.version = static_cast<uint8_t>(ttl >> 16);
  edns.dnssec_ok = (ttl & 0x8000) != 0;
  // What the options of another version mean, we do not know.
  return edns.version > 0 || ReadOptions(rdata, edns);
}

// Reads the one question; false if there is none to be read.
bool ReadQuestion(Octets message, size_t& offset, Query& query) {
  const std::optional<size_t> after_name = ReadName(message, offset, query.qname);
  if (!after_name || message.size() - *after_name < 4) return false;
  // No name stands before it that it could point at: a pointer would go into the header, which is
  // another one in the reply, and so would be the name there.
  if (*after_name - offset != query.qname.size()) return false;
  query.qtype = static_cast<RrType>(LoadU16(&message[*after_name]));
  query.qclass = static_cast<RrClass>(LoadU16(&message[*after_name + 2]));
  query.question = message.subspan(offset, *after_name + 4 - offset);
  offset = *after_name + 4;
  return true;
}

// Reads all that is behind the header.
ParseResult ReadSections(Octets message, Query& query) {
  const uint16_t question_count = LoadU16(&message[4]);
  const uint16_t answer_count = LoadU16(&message[6]);
  const uint16_t authority_count = LoadU16(&message[8]);
  const uint16_t additional_count = LoadU16(&message[10]);
  // RFC 9619: a query has at most one question. What else it may carry is a record or two (an OPT,
  // a TSIG, the SOA of an IXFR); more is somebody's mistake or attack.
  if (question_count > 1) return ParseResult::kFormErr;
  size_t offset = kHeaderOctets;
  if (question_count == 1 && !ReadQuestion(message, offset, query)) return ParseResult::kFormErr;
  if (answer_count > 1 || authority_count > 1 || additional_count > 2) return ParseResult::kFormErr;
  const int before_additional = answer_count + authority_count;
  for (int i = 0; i < before_additional + additional_count; ++i) {
    if (!ReadRecord(message, offset, i >= before_additional, query)) return ParseResult::kFormErr;
  }
  if (question_count == 1) return ParseResult::kQuery;
  return query.edns && !query.edns->cookie.empty() ? ParseResult::kCookieOnly
                                                   : ParseResult::kFormErr;
}

}  // namespace

ParseResult ParseQuery(Octets message, Query& query) {
  if (message.size() < kHeaderOctets) return ParseResult::kDrop;
  const uint16_t flags = LoadU16(&message[2]);
  if ((flags & kFlagQr) != 0) return ParseResult::kDrop;
  query.id = LoadU16(&message[0]);
  query.opcode = static_cast<uint8_t>((flags >> 11) & 0x0f);
  query.recursion_desired = (flags & kFlagRd) != 0;
  const bool is_query = query.opcode == static_cast<uint8_t>(Opcode::kQuery);
  query.checking_disabled = is_query && (flags & kFlagCd) != 0;
  query.question = {};
  query.edns.reset();
  const ParseResult result = ReadSections(message, query);
  return is_query ? result : ParseResult::kNotImp;
}

}  // namespace pharos::dns
