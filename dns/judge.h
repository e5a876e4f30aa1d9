// For tests: a reply as ldns reads it, an independent judge of what we wrote.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/octets.h"
#include "dns/types.h"

namespace pharos::dns {

struct Judged {
  int rcode = -1;
  std::string flags;                  // Of "QR AA TC RD RA AD CD", those that are set.
  std::vector<std::string> question;  // "name class type"
  // Records as "owner ttl class type rdata", sorted; the OPT record is left out.
  std::vector<std::string> answer, authority, additional;
  bool has_edns = false;
  int edns_version = 0;
  bool dnssec_ok = false;
  size_t octets = 0;

  // rcode, then the flags: "NOERROR QR AA RD".
  std::string Status() const;
};

// nullopt when ldns cannot parse the message or it has octets left over.
std::optional<Judged> Judge(Octets message);

// A query in wire form, made by ldns. `edns_octets` 0: without OPT.
std::vector<uint8_t> MakeQuery(const std::string& name, RrType type, uint16_t edns_octets = 0);

}  // namespace pharos::dns
