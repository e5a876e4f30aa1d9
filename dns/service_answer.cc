// The addresses of services: which instances, how many, in which order.

#include <algorithm>

#include "dns/answerer.h"
#include "dns/sample.h"

namespace pharos::dns {
namespace {

// Over UDP without EDNS no setting allows more answers than this.
constexpr size_t kPlainUdpAnswersMax = 8;
// What Consul leaves free of 512 octets.
constexpr size_t kPlainUdpMargin = 7;
// Over TCP, so that one question about a huge service stays cheap.
constexpr size_t kTcpAnswersMax = 4096;
constexpr size_t kTcpSrvAnswersMax = 1024;

// Whether some instance has a tag that ends in `.<tag>`: then names below `tag` exist.
bool HasTagBelow(const registry::ServiceEntry& entry, std::string_view tag) {
  return std::ranges::any_of(entry.by_tag, [tag](const auto& known) {
    const std::string_view name = known.first;
    return name.size() > tag.size() && name.ends_with(tag) &&
           name[name.size() - tag.size() - 1] == '.';
  });
}

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

Handled Answerer::AnswerService() {
  const registry::ServiceEntry* entry = snapshot_.FindService(question_.name);
  if (entry == nullptr) {
    // Not a service, but perhaps `_<tag>`, above `_<service>._<tag>`.
    const bool above = question_.tag.empty() && question_.name.starts_with('_') &&
                       snapshot_.HasTag(question_.name.substr(1));
    return Negative(above ? Rcode::kNoError : Rcode::kNxDomain);
  }
  const registry::RecordSet* records =
      question_.tag.empty() ? &entry->all : entry->FindTag(question_.tag);
  if (records == nullptr) {
    const bool above = HasTagBelow(*entry, question_.tag);
    return Negative(above ? Rcode::kNoError : Rcode::kNxDomain);
  }
  if (records->healthy.Get(config_.only_passing).empty()) return Negative(Rcode::kNxDomain);
  const uint32_t ttl_s = config_.service_ttls.Get(entry->name);
  if (query_.qtype == RrType::kSrv) return AnswerServiceSrv(*entry, *records, ttl_s);
  return AnswerServiceAddresses(*entry, *records, ttl_s);
}

Answerer::CountLimit Answerer::LimitCount(size_t available, bool addresses) const {
  size_t count = available;
  if (limits_.tcp) count = std::min(count, addresses ? kTcpAnswersMax : kTcpSrvAnswersMax);
  if (addresses && config_.a_record_limit > 0) {
    count = std::min(count, size_t{config_.a_record_limit});
  }
  if (!limits_.plain_udp || config_.udp_answer_limit == 0) return {count, false};
  const size_t udp_limit = std::min(size_t{config_.udp_answer_limit}, kPlainUdpAnswersMax);
  return {std::min(count, udp_limit), count > udp_limit};
}

size_t Answerer::UncompressedRoom() const {
  return kPlainUdpOctetsMax - kPlainUdpMargin - kHeaderOctets - query_.question.size();
}

Handled Answerer::AnswerServiceAddresses(const registry::ServiceEntry& entry,
                                         const registry::RecordSet& records, uint32_t ttl_s) {
  const registry::Selection* selection = SelectionFor(records, query_.qtype);
  if (selection == nullptr || selection->Get(config_.only_passing).empty()) {
    return AnswerServiceName(entry, records, ttl_s);
  }
  const std::span<const uint32_t> all = selection->Get(config_.only_passing);
  const CountLimit limit = LimitCount(all.size(), true);
  const NameParts owner = writer_.QnameOwner();
  size_t uncompressed_room = UncompressedRoom();
  size_t written = 0;
  for (const uint32_t position : Sample(all, limit.count, context_.random, context_.scratch)) {
    const Octets address = AddressFor(entry.instances[position]->dns, query_.qtype);
    const size_t uncompressed = query_.qname.size() + kRecordFixedOctets + address.size();
    if (limit.by_udp_limit && written > 0 && uncompressed > uncompressed_room) break;
    if (!writer_.AddAddress(Section::kAnswer, owner, address, ttl_s)) break;
    uncompressed_room -= std::min(uncompressed, uncompressed_room);
    ++written;
  }
  cut_ = written < all.size();
  return Positive();
}

// No instance has an address of the type: the host name of one of them, whatever the type.
Handled Answerer::AnswerServiceName(const registry::ServiceEntry& entry,
                                    const registry::RecordSet& records, uint32_t ttl_s) {
  const std::span<const uint32_t> named = records.names.Get(config_.only_passing);
  for (const uint32_t position : Sample(named, named.size(), context_.random, context_.scratch)) {
    const registry::DnsAddresses& addresses = entry.instances[position]->dns;
    if (KindFor(addresses, query_.qtype) != registry::AddressKind::kName) continue;
    if (!IsAsked(AsOctets(addresses.name_wire))) {
      AddChain(AsOctets(addresses.name_wire), ttl_s, ttl_s);
      return Positive();
    }
    // The instance's address is the very name asked: its node's address is meant.
    const Octets address = AddressFor(entry.instances[position]->node->dns, query_.qtype);
    if (SelectionFor(records, query_.qtype) == nullptr || address.empty()) continue;
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
