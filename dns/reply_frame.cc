#include "dns/reply_frame.h"

#include <cstring>

namespace pharos::dns {
namespace {

constexpr size_t kOptionHeaderOctets = 4;
constexpr size_t kKeepaliveOctets = 2;
constexpr size_t kInfoCodeOctets = 2;
constexpr uint16_t kDnssecOk = 0x8000;
// What we are ready to receive ourselves: no fragments on any usual path (DNS flag day 2020).
constexpr uint16_t kOwnUdpOctets = 1232;

size_t OptionOctets(size_t data_octets) {
  return data_octets == 0 ? 0 : kOptionHeaderOctets + data_octets;
}

void WriteOptionHeader(EdnsOption code, size_t data_octets, ByteWriter& writer) {
  writer.U16(static_cast<uint16_t>(code));
  writer.U16(static_cast<uint16_t>(data_octets));
}

void WriteOption(EdnsOption code, Octets data, ByteWriter& writer) {
  WriteOptionHeader(code, data.size(), writer);
  writer.Append(data);
}

}  // namespace

uint8_t* WriteBareOpt(bool dnssec_ok, uint8_t* at) {
  std::memset(at, 0, kOptBaseOctets);
  StoreU16(at + 1, static_cast<uint16_t>(RrType::kOpt));
  StoreU16(at + 3, kOwnUdpOctets);
  StoreU16(at + 7, dnssec_ok ? kDnssecOk : 0);
  return at + kOptBaseOctets;
}

ReplyOpt::ReplyOpt(const Query& query) : query_(query) {
  if (!query.edns) return;
  const Edns& edns = *query.edns;
  octets_ = kOptBaseOctets + OptionOctets(edns.client_subnet.size()) +
            OptionOctets(edns.reply.nsid.size()) +
            OptionOctets(edns.reply.has_cookie ? kCookieOctets : 0) +
            OptionOctets(edns.reply.has_keepalive ? kKeepaliveOctets : 0);
}

void ReplyOpt::SetError(const ExtendedError& error) {
  if (!query_.edns || error_) return;
  error_ = error;
  octets_ += OptionOctets(kInfoCodeOctets + error.text.size());
}

void ReplyOpt::Write(Rcode rcode, ByteWriter& writer) const {
  if (!query_.edns) return;
  const Edns& edns = *query_.edns;
  writer.U8(0);  // Root owner.
  writer.U16(static_cast<uint16_t>(RrType::kOpt));
  writer.U16(kOwnUdpOctets);
  writer.U8(static_cast<uint8_t>(static_cast<uint16_t>(rcode) >> 4));
  writer.U8(0);  // Version.
  writer.U16(edns.dnssec_ok ? kDnssecOk : 0);
  writer.U16(0);  // RDLENGTH, known at the end.
  if (octets_ == kOptBaseOctets) return;
  const size_t options_offset = writer.offset();
  if (!edns.client_subnet.empty()) WriteSubnet(writer);
  if (!edns.reply.nsid.empty()) WriteOption(EdnsOption::kNsid, edns.reply.nsid, writer);
  if (edns.reply.has_cookie) WriteOption(EdnsOption::kCookie, edns.reply.cookie, writer);
  if (edns.reply.has_keepalive) {
    WriteOptionHeader(EdnsOption::kTcpKeepalive, kKeepaliveOctets, writer);
    writer.U16(edns.reply.keepalive_100ms);
  }
  if (error_) WriteError(writer);
  StoreU16(writer.at(options_offset - 2), static_cast<uint16_t>(writer.offset() - options_offset));
}

void ReplyOpt::WriteSubnet(ByteWriter& writer) const {
  const Octets subnet = query_.edns->client_subnet;
  WriteOptionHeader(EdnsOption::kClientSubnet, subnet.size(), writer);
  // Family, source prefix length, scope, address.
  writer.Append(subnet.first(3));
  writer.U8(subnet_scope_bits_);
  writer.Append(subnet.subspan(4));
}

void ReplyOpt::WriteError(ByteWriter& writer) const {
  constexpr size_t kBare = kOptionHeaderOctets + kInfoCodeOctets;
  if (writer.remaining() < kBare) return;
  const bool text_fits = writer.remaining() - kBare >= error_->text.size();
  const std::string_view text = text_fits ? error_->text : std::string_view();
  WriteOptionHeader(EdnsOption::kExtendedError, kInfoCodeOctets + text.size(), writer);
  writer.U16(static_cast<uint16_t>(error_->code));
  writer.Append(AsOctets(text));
}

void WriteHeader(const Query& query, Rcode rcode, uint16_t flags,
                 const std::array<uint16_t, 3>& counts, ByteWriter& writer) {
  uint8_t* header = writer.at(0);
  StoreU16(header, query.id);
  StoreU16(header + 2, static_cast<uint16_t>(kFlagQr | (uint16_t{query.opcode} << 11) | flags |
                                             (query.recursion_desired ? kFlagRd : 0) |
                                             (query.checking_disabled ? kFlagCd : 0) |
                                             (static_cast<uint16_t>(rcode) & 0x0f)));
  StoreU16(header + 4, query.question.empty() ? 0 : 1);
  StoreU16(header + 6, counts[0]);
  StoreU16(header + 8, counts[1]);
  StoreU16(header + 10, static_cast<uint16_t>(counts[2] + (query.edns ? 1 : 0)));
}

}  // namespace pharos::dns
