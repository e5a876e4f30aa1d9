// The addresses of services: which instances, how many, in which order.

#include <algorithm>

#include "dns/answerer.h"

namespace pharos::dns {
namespace {

constexpr size_t kPointerOctets = 2;

size_t AddressOctetsMin(RrType type) { return type == RrType::kAaaa ? 16 : 4; }

}  // namespace
registry::AddressKind KindFor(const registry::DnsAddresses& addresses, RrType type) {
  if (type == RrType::kA) return addresses.for_a;
  if (type == RrType::kAaaa) return addresses.for_aaaa;
  return addresses.for_any;
}

Octets AddressFor(const registry::DnsAddresses& addresses, RrType type) {
  switch (KindFor(addresses, type)) {
    case registry::AddressKind::kV4:
      return addresses.v4;
    case registry::AddressKind::kV6:
      return addresses.v6;
    default:
      return {};
  }
}

const registry::Selection* SelectionFor(const registry::RecordSet& records, RrType type) {
  switch (type) {
    case RrType::kA:
      return &records.a;
    case RrType::kAaaa:
      return &records.aaaa;
    case RrType::kAny:
      return &records.any;
    default:
      return nullptr;
  }
}

Handled Answerer::AnswerInstances() {
  const Found found = FindCandidates(question_);
  if (needed_part_ != nullptr) {
    if (!IsUnavailable(needed_part_->datacenter, needed_part_->part)) return NeedsPart();
    return Refuse(Rcode::kServFail,
                  {InfoCode::kNoReachableAuthority, "the datacenter cannot be reached"});
  }
  const bool none = !found.candidates ||
                    found.candidates->records->everyone.Count(found.candidates->include) == 0;
  if (none && context_.is_any)
    return {.outcome = Outcome::kElsewhere, .reply_octets = 0, .needed = {}};
  if (none && question_.form == NameForm::kPreparedQuery) {
    if (std::optional<Handled> elsewhere = FailOver()) return *std::move(elsewhere);
  }
  if (!found.candidates) {
    if (explains()) Tell("instances", "nothing is registered for it");
    return Negative(found.otherwise);
  }
  const Candidates& candidates = *found.candidates;
  if (explains()) ExplainCandidates(candidates);
  if (candidates.records->everyone.Count(candidates.include) == 0) {
    return Negative(Rcode::kNxDomain);
  }
  return query_.qtype == RrType::kSrv ? AnswerServiceSrv(candidates)
                                      : AnswerServiceAddresses(candidates);
}

Handled Answerer::AnswerServiceAddresses(const Candidates& candidates) {
  const registry::Selection* selection = SelectionFor(*candidates.records, query_.qtype);
  const size_t available = selection == nullptr ? 0 : selection->Count(candidates.include);
  if (available == 0) return AnswerServiceName(candidates);
  const CountLimit limit = LimitCount(config_, limits_, available, true);
  const NameParts owner = writer_.QnameOwner();
  size_t uncompressed_room = UncompressedRoom(query_.question.size());
  size_t written = 0;
  // No more than fit is drawn, were all as small as can be.
  const size_t owner_octets = writer_.compression() ? kPointerOctets : query_.qname.size();
  const size_t fitting =
      writer_.Room() / (owner_octets + kRecordFixedOctets + AddressOctetsMin(query_.qtype));
  const size_t drawn = std::max<size_t>(std::min(limit.count, fitting), 1);
  for (const uint32_t position : Pick(candidates, *selection, drawn)) {
    const Octets address = AddressFor(candidates.instances[position].dns, query_.qtype);
    const size_t uncompressed = query_.qname.size() + kRecordFixedOctets + address.size();
    if (limit.by_udp_limit && written > 0 && uncompressed > uncompressed_room) break;
    if (!writer_.AddAddress(Section::kAnswer, owner, address, candidates.ttl_s)) break;
    uncompressed_room -= std::min(uncompressed, uncompressed_room);
    ++written;
  }
  cut_ = written < WantedCount(config_, available, true);
  if (explains()) ExplainCut(written, available, limit.count);
  return Positive();
}

// No instance has an address of the type: the host name of one of them, whatever the type.
Handled Answerer::AnswerServiceName(const Candidates& candidates) {
  const registry::Selection& named = candidates.records->names;
  const uint32_t ttl_s = candidates.ttl_s;
  for (const uint32_t position : Pick(candidates, named, named.Count(candidates.include))) {
    const registry::Instance& instance = candidates.instances[position];
    const registry::DnsAddresses& addresses = instance.dns;
    if (KindFor(addresses, query_.qtype) != registry::AddressKind::kName) continue;
    if (!IsAsked(AsOctets(addresses.name_wire))) {
      AddChain(AsOctets(addresses.name_wire), ttl_s, ttl_s);
      return Positive();
    }
    // The instance's address is the very name asked: its node's address is meant.
    const Octets address = AddressFor(instance.node->dns, query_.qtype);
    if (SelectionFor(*candidates.records, query_.qtype) == nullptr || address.empty()) continue;
    writer_.AddAddress(Section::kAnswer, writer_.QnameOwner(), address, ttl_s);
    return Positive();
  }
  return Negative(Rcode::kNoError);
}

bool Answerer::IsAsked(Octets name_wire) const {
  const std::optional<Name> name = Name::FromWire(name_wire);
  return name && *name == query_.qname;
}

}  // namespace pharos::dns
