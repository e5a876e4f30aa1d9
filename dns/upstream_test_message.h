// For tests: upstreams' replies, made from text by ldns.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dns/resolver.h"
#include "dns/types.h"

namespace pharos::dns {

struct TestReply {
  uint16_t flags = kFlagQr | kFlagRd | kFlagRa;  // With the rcode in the low bits.
  // Records as a zone file has them: "www.example. 300 IN A 192.0.2.1".
  std::vector<std::string> answer = {}, authority = {}, additional = {};
  bool edns = false;
  uint8_t extended_rcode = 0;
};

// The reply to a query in wire form: its id and question, spelled as there, and the records.
std::vector<uint8_t> MakeReply(Octets query, const TestReply& reply);

// A record from a zone file's line, as a Record.
Record MakeRecord(const std::string& text);

inline UpstreamQuestion Ask(std::string_view name, RrType type = RrType::kA) {
  return {.qname = *Name::FromText(name), .qtype = type};
}

}  // namespace pharos::dns
