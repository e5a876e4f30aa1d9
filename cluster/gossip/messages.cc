#include "cluster/gossip/messages.h"

#include <algorithm>

namespace pharos::gossip {

std::optional<IpAddress> ParseAddress(std::string_view octets) {
  const Octets bytes = AsOctets(octets);
  if (bytes.size() == 4) {
    std::array<uint8_t, 4> v4{};
    std::copy(bytes.begin(), bytes.end(), v4.begin());
    return IpAddress::V4(v4);
  }
  if (bytes.size() != 16) return std::nullopt;
  std::array<uint8_t, 16> v6{};
  std::copy(bytes.begin(), bytes.end(), v6.begin());
  return IpAddress::V6(v6);
}

std::string PackAddress(const IpAddress& address) { return std::string(AsText(address.octets())); }

std::optional<Versions> Versions::Parse(std::string_view octets) {
  if (octets.size() < 6) return std::nullopt;
  const Octets v = AsOctets(octets);
  return Versions{v[0], v[1], v[2], v[3], v[4], v[5]};
}

std::string Versions::Pack() const {
  const uint8_t octets[] = {protocol_min, protocol_max, protocol_current,
                            delegate_min, delegate_max, delegate_current};
  return std::string(AsText(octets));
}

std::string EncodePushPull(const PushPull& state) {
  const PushPullHeader header{.nodes = static_cast<uint32_t>(state.nodes.size()),
                              .user_state_octets = static_cast<uint32_t>(state.user_state.size()),
                              .join = state.join};
  std::string message = EncodeMessage(MessageType::kPushPull, header);
  for (const NodeState& node : state.nodes) PackValue(node, message);
  message += state.user_state;
  return message;
}

std::optional<PushPull> DecodePushPull(Octets message) {
  MsgPackReader reader(message, 1);
  PushPullHeader header;
  ReadValue(reader, header);
  if (!reader.ok() || header.nodes > kPushPullNodesMax ||
      header.user_state_octets > kUserStateOctetsMax) {
    return std::nullopt;
  }
  PushPull state{.join = header.join, .nodes = {}, .user_state = {}};
  for (uint32_t i = 0; i < header.nodes; ++i) {
    NodeState& node = state.nodes.emplace_back();
    ReadValue(reader, node);
    if (!reader.ok() || node.name.empty()) return std::nullopt;
  }
  if (reader.remaining() < header.user_state_octets) return std::nullopt;
  state.user_state = AsText(message.subspan(reader.offset(), header.user_state_octets));
  return state;
}

}  // namespace pharos::gossip
