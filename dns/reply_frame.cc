#include "dns/reply_frame.h"

namespace pharos::dns {
namespace {

constexpr size_t kOptBaseOctets = 11;
constexpr uint16_t kOptionClientSubnet = 8;
constexpr size_t kOptionHeaderOctets = 4;
constexpr uint16_t kDnssecOk = 0x8000;
// What we are ready to receive ourselves: no fragments on any usual path (DNS flag day 2020).
constexpr uint16_t kOwnUdpOctets = 1232;

}  // namespace

size_t OptOctets(const Query& query) {
  if (!query.edns) return 0;
  const size_t subnet = query.edns->client_subnet.size();
  return kOptBaseOctets + (subnet == 0 ? 0 : kOptionHeaderOctets + subnet);
}

void WriteOpt(const Query& query, Rcode rcode, ByteWriter& writer) {
  if (!query.edns) return;
  const Octets subnet = query.edns->client_subnet;
  writer.U8(0);  // Root owner.
  writer.U16(static_cast<uint16_t>(RrType::kOpt));
  writer.U16(kOwnUdpOctets);
  writer.U8(static_cast<uint8_t>(static_cast<uint16_t>(rcode) >> 4));
  writer.U8(0);  // Version.
  writer.U16(query.edns->dnssec_ok ? kDnssecOk : 0);
  if (subnet.empty()) {
    writer.U16(0);
    return;
  }
  writer.U16(static_cast<uint16_t>(kOptionHeaderOctets + subnet.size()));
  writer.U16(kOptionClientSubnet);
  writer.U16(static_cast<uint16_t>(subnet.size()));
  // Family, source prefix length, scope, address. Scope 0: the answer is good for every client
  // (RFC 7871 section 7.2.1).
  writer.Append(subnet.first(3));
  writer.U8(0);
  writer.Append(subnet.subspan(4));
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
