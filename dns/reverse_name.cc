#include "dns/reverse_name.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>

namespace pharos::dns {
namespace {

constexpr size_t kLabelsMax = kNameOctetsMax / 2;

std::optional<uint8_t> DecimalLabel(Octets label) {
  if (label.empty() || label.size() > 3 || (label.size() > 1 && label[0] == '0')) {
    return std::nullopt;
  }
  int value = 0;
  for (const uint8_t c : label) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + (c - '0');
  }
  if (value > 255) return std::nullopt;
  return static_cast<uint8_t>(value);
}

std::optional<uint8_t> HexLabel(Octets label) {
  if (label.size() != 1) return std::nullopt;
  const uint8_t c = LowerOctet(label[0]);
  if (c >= '0' && c <= '9') return static_cast<uint8_t>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<uint8_t>(c - 'a' + 10);
  return std::nullopt;
}

constexpr size_t kDomainLabels = 2;  // Of in-addr.arpa and of ip6.arpa.

// The labels are those left of the reverse domain, the ones next to it (the first of the address)
// last.
ReverseName ReadV4(std::span<const Octets> labels) {
  constexpr size_t kAddressLabels = 4;
  constexpr size_t kNetworkLabels = 3;
  std::array<uint8_t, kAddressLabels> octets{};
  size_t read = 0;
  while (read < std::min(labels.size(), kAddressLabels)) {
    const std::optional<uint8_t> octet = DecimalLabel(labels[labels.size() - 1 - read]);
    if (!octet) break;
    octets[read++] = *octet;
  }
  ReverseName name{ReverseName::kMalformed, IpAddress::V4(octets), 8 * read,
                   kDomainLabels + std::min(read, kNetworkLabels)};
  if (read == labels.size()) {
    name.kind = read == kAddressLabels ? ReverseName::kAddress : ReverseName::kPart;
  }
  return name;
}

ReverseName ReadV6(std::span<const Octets> labels) {
  constexpr size_t kAddressLabels = 32;
  constexpr size_t kNetworkLabels = 16;
  std::array<uint8_t, kAddressLabels / 2> octets{};
  size_t read = 0;
  while (read < std::min(labels.size(), kAddressLabels)) {
    const std::optional<uint8_t> nibble = HexLabel(labels[labels.size() - 1 - read]);
    if (!nibble) break;
    octets[read / 2] |= static_cast<uint8_t>(read % 2 == 0 ? *nibble << 4 : *nibble);
    ++read;
  }
  ReverseName name{ReverseName::kMalformed, IpAddress::V6(octets), 4 * read,
                   kDomainLabels + std::min(read, kNetworkLabels)};
  if (read == labels.size()) {
    name.kind = read == kAddressLabels ? ReverseName::kAddress : ReverseName::kPart;
  }
  return name;
}

}  // namespace

ReverseName ReadReverseName(const Name& qname) {
  std::array<Octets, kLabelsMax> labels;
  size_t count = 0;
  const Octets wire = qname.wire();
  for (size_t at = 0; wire[at] != 0; at += wire[at] + size_t{1}) {
    labels[count++] = wire.subspan(at + 1, wire[at]);
  }
  static const Name kInAddr = *Name::FromText("in-addr.arpa.");
  static const Name kIp6 = *Name::FromText("ip6.arpa.");
  const std::span<const Octets> left = std::span(labels).first(count < 2 ? 0 : count - 2);
  if (qname.IsAtOrBelow(kInAddr)) return ReadV4(left);
  if (qname.IsAtOrBelow(kIp6)) return ReadV6(left);
  return {};
}

bool IsAboveRegistered(const Name& qname, const registry::Snapshot& snapshot) {
  const ReverseName name = ReadReverseName(qname);
  return name.kind == ReverseName::kPart && snapshot.HasAddressNear(name.address, name.prefix_bits);
}

}  // namespace pharos::dns
