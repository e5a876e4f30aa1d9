#include "dns/rebind.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/cidr.h"

namespace pharos::dns {
namespace {

constexpr std::array kInside = {
    "0.0.0.0/8",      "10.0.0.0/8",    "100.64.0.0/10",  "127.0.0.0/8",
    "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "255.255.255.255/32",
    "::/128",         "::1/128",       "fc00::/7",       "fe80::/10",
};
// The well-known prefix of translators (RFC 6052 section 2.1), and what is left of
// "IPv4-compatible" addresses (RFC 4291 section 2.5.5.1): both end with an IPv4 address.
constexpr std::array kEmbedding = {"64:ff9b::/96", "::/96"};

template <size_t count>
std::array<Cidr, count> ParseAll(const std::array<const char*, count>& texts) {
  std::array<Cidr, count> networks;
  std::ranges::transform(texts, networks.begin(),
                         [](const char* text) { return *Cidr::Parse(text); });
  return networks;
}

bool IsAmong(const IpAddress& address, std::span<const Cidr> networks) {
  return std::ranges::any_of(networks,
                             [&](const Cidr& network) { return network.Contains(address); });
}

std::optional<IpAddress> AddressOf(const Record& record) {
  const Octets octets = record.rdata;
  if (record.rr_class != RrClass::kIn) return std::nullopt;
  if (record.type == RrType::kA && octets.size() == 4) {
    return IpAddress::V4({octets[0], octets[1], octets[2], octets[3]});
  }
  if (record.type != RrType::kAaaa || octets.size() != 16) return std::nullopt;
  std::array<uint8_t, 16> v6;
  std::ranges::copy(octets, v6.begin());
  return IpAddress::V6(v6);
}

}  // namespace

bool IsInsideAddress(const IpAddress& address) {
  static const auto kInsideNetworks = ParseAll(kInside);
  static const auto kEmbeddingNetworks = ParseAll(kEmbedding);
  if (IsAmong(address, kInsideNetworks)) return true;
  if (!IsAmong(address, kEmbeddingNetworks)) return false;
  const Octets last = address.octets().last(4);
  return IsAmong(IpAddress::V4({last[0], last[1], last[2], last[3]}), kInsideNetworks);
}

bool IsRebinding(const AnswerConfig& config, const Name& qname, const UpstreamAnswer& answer) {
  if (!config.rebind_protection || config.rebind_allow.Find(qname) != nullptr ||
      config.forward_zones.Find(qname) != nullptr) {
    return false;
  }
  const auto is_inside = [](const Record& record) {
    const std::optional<IpAddress> address = AddressOf(record);
    return address && IsInsideAddress(*address);
  };
  return std::ranges::any_of(answer.answer, is_inside) ||
         std::ranges::any_of(answer.additional, is_inside);
}

}  // namespace pharos::dns
