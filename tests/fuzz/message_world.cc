#include "tests/fuzz/message_world.h"

#include <string>
#include <string_view>
#include <vector>

namespace pharos::fuzz {
namespace {

using dns::Name;
using dns::RrType;

void AddCname(dns::UpstreamAnswer& answer, const Name& owner, std::string_view target) {
  const Name name = *Name::FromText(target);
  answer.answer.push_back(
      {owner, RrType::kCname, dns::RrClass::kIn, 60, {name.wire().begin(), name.wire().end()}});
}

void AddAddresses(dns::UpstreamAnswer& answer, const Name& owner, RrType type, int count) {
  const size_t octets = type == RrType::kAaaa ? 16 : 4;
  if (type != RrType::kA && type != RrType::kAaaa) return;
  for (int i = 0; i < count; ++i) {
    std::vector<uint8_t> address(octets, 0xc0);
    address[octets - 2] = static_cast<uint8_t>(i >> 8);
    address[octets - 1] = static_cast<uint8_t>(i);
    answer.answer.push_back({owner, type, dns::RrClass::kIn, 60, std::move(address)});
  }
}

}  // namespace

dns::UpstreamAnswer AskWorld(const dns::UpstreamQuestion& question, uint8_t world) {
  dns::UpstreamAnswer answer;
  answer.rcode = dns::Rcode::kNoError;
  const std::string name = question.qname.Lower().ToText();
  if (name.starts_with("servfail.")) {
    answer.rcode = dns::Rcode::kServFail;
  } else if (name.starts_with("far.")) {
    // A chain out there, which in some worlds leads back to us.
    const bool back = (world & 1) != 0;
    AddCname(answer, question.qname, back ? "web.service.consul." : "Edge.example.net.");
    if (!back) {
      AddAddresses(answer, *Name::FromText("edge.Example.net."), question.qtype, 2);
    } else if ((world & 2) != 0) {
      // What it says of our names is not for it to say.
      AddAddresses(answer, *Name::FromText("web.service.consul."), question.qtype, 1);
    }
  } else if (name.starts_with("huge.")) {
    AddAddresses(answer, question.qname, question.qtype, 700);
  } else if (name.starts_with("host-") || name.starts_with("www.") || name.starts_with("other.")) {
    AddAddresses(answer, question.qname, question.qtype, question.qtype == RrType::kA ? 2 : 1);
  } else {
    answer.rcode = dns::Rcode::kNxDomain;
  }
  return answer;
}

}  // namespace pharos::fuzz
