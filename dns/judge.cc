#include "dns/judge.h"

#include <ldns/ldns.h>

#include <algorithm>
#include <memory>

#include "absl/strings/str_format.h"

namespace pharos::dns {
namespace {

struct FreePacket {
  void operator()(ldns_pkt* packet) const { ldns_pkt_free(packet); }
};
struct FreeText {
  void operator()(char* text) const { free(text); }
};

std::vector<std::string> Records(const ldns_rr_list* list) {
  std::vector<std::string> records;
  for (size_t i = 0; i < ldns_rr_list_rr_count(list); ++i) {
    const std::unique_ptr<char, FreeText> text(ldns_rr2str(ldns_rr_list_rr(list, i)));
    std::string record = text.get();
    std::replace(record.begin(), record.end(), '\t', ' ');
    while (!record.empty() && (record.back() == '\n' || record.back() == ' ')) record.pop_back();
    records.push_back(record);
  }
  std::sort(records.begin(), records.end());
  return records;
}

}  // namespace

std::string Judged::Status() const {
  constexpr const char* kNames[] = {"NOERROR",  "FORMERR", "SERVFAIL",
                                    "NXDOMAIN", "NOTIMP",  "REFUSED"};
  const std::string name = rcode >= 0 && rcode < 6 ? kNames[rcode] : absl::StrFormat("%d", rcode);
  return name + " " + flags;
}

std::optional<Judged> Judge(Octets message) {
  ldns_pkt* raw = nullptr;
  if (ldns_wire2pkt(&raw, message.data(), message.size()) != LDNS_STATUS_OK) return std::nullopt;
  const std::unique_ptr<ldns_pkt, FreePacket> packet(raw);
  Judged judged;
  judged.octets = message.size();
  judged.has_edns = ldns_pkt_edns(raw);
  judged.edns_version = ldns_pkt_edns_version(raw);
  judged.dnssec_ok = ldns_pkt_edns_do(raw);
  judged.rcode = ldns_pkt_get_rcode(raw) | (ldns_pkt_edns_extended_rcode(raw) << 4);
  const struct {
    bool set;
    const char* name;
  } kFlags[] = {{ldns_pkt_qr(raw), "QR"}, {ldns_pkt_aa(raw), "AA"}, {ldns_pkt_tc(raw), "TC"},
                {ldns_pkt_rd(raw), "RD"}, {ldns_pkt_ra(raw), "RA"}, {ldns_pkt_ad(raw), "AD"},
                {ldns_pkt_cd(raw), "CD"}};
  for (const auto& flag : kFlags) {
    if (flag.set) judged.flags += (judged.flags.empty() ? "" : " ") + std::string(flag.name);
  }
  judged.question = Records(ldns_pkt_question(raw));
  judged.answer = Records(ldns_pkt_answer(raw));
  judged.authority = Records(ldns_pkt_authority(raw));
  judged.additional = Records(ldns_pkt_additional(raw));
  return judged;
}

std::vector<uint8_t> MakeQuery(const std::string& name, RrType type, uint16_t edns_octets) {
  ldns_rdf* owner = ldns_dname_new_frm_str(name.c_str());
  const std::unique_ptr<ldns_pkt, FreePacket> packet(
      ldns_pkt_query_new(owner, static_cast<ldns_rr_type>(type), LDNS_RR_CLASS_IN, LDNS_RD));
  ldns_pkt_set_id(packet.get(), 0x1234);
  if (edns_octets > 0) ldns_pkt_set_edns_udp_size(packet.get(), edns_octets);
  uint8_t* wire = nullptr;
  size_t octets = 0;
  ldns_pkt2wire(&wire, packet.get(), &octets);
  std::vector<uint8_t> message(wire, wire + octets);
  free(wire);
  return message;
}

}  // namespace pharos::dns
