#include "dns/upstream_test_message.h"

#include <ldns/ldns.h>

#include <memory>

#include "base/check.h"

namespace pharos::dns {
namespace {

struct Free {
  void operator()(ldns_pkt* packet) const { ldns_pkt_free(packet); }
  void operator()(ldns_rr* record) const { ldns_rr_free(record); }
};

ldns_rr* Parse(const std::string& text) {
  ldns_rr* record = nullptr;
  CHECK(ldns_rr_new_frm_str(&record, text.c_str(), 0, nullptr, nullptr) == LDNS_STATUS_OK);
  return record;
}

}  // namespace

std::vector<uint8_t> MakeReply(Octets query, const TestReply& reply) {
  ldns_pkt* raw = nullptr;
  CHECK(ldns_wire2pkt(&raw, query.data(), query.size()) == LDNS_STATUS_OK);
  const std::unique_ptr<ldns_pkt, Free> packet(raw);
  raw->_edns_present = reply.edns;
  ldns_pkt_set_edns_udp_size(raw, reply.edns ? 1232 : 0);
  ldns_pkt_set_edns_extended_rcode(raw, reply.extended_rcode);
  for (const auto& text : reply.answer) ldns_pkt_push_rr(raw, LDNS_SECTION_ANSWER, Parse(text));
  for (const auto& text : reply.authority) {
    ldns_pkt_push_rr(raw, LDNS_SECTION_AUTHORITY, Parse(text));
  }
  for (const auto& text : reply.additional) {
    ldns_pkt_push_rr(raw, LDNS_SECTION_ADDITIONAL, Parse(text));
  }
  uint8_t* wire = nullptr;
  size_t octets = 0;
  CHECK(ldns_pkt2wire(&wire, raw, &octets) == LDNS_STATUS_OK);
  std::vector<uint8_t> message(wire, wire + octets);
  free(wire);
  StoreU16(&message[2], reply.flags);
  return message;
}

Record MakeRecord(const std::string& text) {
  const std::unique_ptr<ldns_rr, Free> parsed(Parse(text));
  uint8_t* wire = nullptr;
  size_t octets = 0;
  CHECK(ldns_rr2wire(&wire, parsed.get(), LDNS_SECTION_ANSWER, &octets) == LDNS_STATUS_OK);
  const Octets all(wire, octets);
  Record record;
  const std::optional<size_t> past = ReadName(all, 0, record.owner);
  CHECK(past.has_value());
  ByteReader reader(all, *past);
  record.type = static_cast<RrType>(reader.U16());
  record.rr_class = static_cast<RrClass>(reader.U16());
  record.ttl_s = reader.U32();
  const Octets rdata = reader.Take(reader.U16());
  record.rdata.assign(rdata.begin(), rdata.end());
  CHECK(reader.ok());
  free(wire);
  return record;
}

}  // namespace pharos::dns
